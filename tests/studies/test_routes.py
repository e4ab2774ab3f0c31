"""What is said of the tasks that a router sends to each model; small is model 0, large model 1."""

from dataclasses import replace

import numpy as np
import pytest

from slm_orchestration.studies.routes import Route, routes
from tests.routing.tables_by_hand import matrix


def outcomes(questions, domains=None, width=2):
    return matrix([[1.0] * width] * len(questions), questions=questions, domains=domains)


def described(questions, served, **more):
    return {route.model: route.tasks for route in routes(outcomes(questions, **more), np.array(served))}


def test_the_most_used_model_comes_first_with_its_share_and_an_unused_one_is_left_out():
    found = routes(outcomes(["same"] * 4, width=3), np.array([2, 0, 2, 2]))
    assert [(route.model, route.share) for route in found] == [("large", 0.75), ("small", 0.25)]


def test_one_model_for_all_tasks_has_nothing_to_be_set_apart_from():
    assert routes(outcomes(["Why?\nWhy?", "Hi"], domains=["code", "logic"]), np.array([0, 0])) == [
        Route("small", 1.0, ())
    ]


def test_a_task_that_no_model_serves_counts_in_the_shares_and_for_no_model():
    found = routes(outcomes(["same"] * 4), np.array([-1, 0, 1, 1]))
    assert [(route.model, route.share) for route in found] == [("large", 0.5), ("small", 0.25)]


@pytest.mark.parametrize("tasks", [4, 100])
def test_equal_prompts_set_nothing_apart_however_many_there_are(tasks):
    # The mean of many equal numbers is off by a rounding, which is no difference of prompts.
    assert described(["same"] * tasks, [1, 1] + [0] * (tasks - 2)) == {"small": (), "large": ()}


def test_three_features_tell_a_model_the_length_first_and_then_those_that_differ_most():
    # Differences in standard deviations: length .8, questions 2, lines 1.73; numbers and brackets 1.69, so left out.
    asked = [
        f"sum 12 34 and 56 [a] {{b}}?{more}\nnow" for more in ("", " at once, without delay or any excuse, please")
    ]
    told = ["one word", "one word and many others that follow it on and on and on and on"]
    found = described(asked + told, [1, 1, 0, 0])
    assert found["large"][:-1] == ("long prompts", "questions", "many lines")
    assert found["small"][:-1] == ("short prompts", "no questions", "few lines")


def test_a_difference_of_half_a_standard_deviation_is_named_and_a_smaller_one_not():
    plain, options = "Which one is it\nx. y\nx. z", "Which one is it\nA. y\nB. z"
    # Options in 3 of 4 tasks against 2 of 4: .25 of a feature whose deviation is sqrt(5/8 · 3/8) = .484, so .516.
    apart = described([options] * 3 + [plain] + [options] * 2 + [plain] * 2, [1] * 4 + [0] * 4)
    assert "answer options" in apart["large"] and "no answer options" in apart["small"]
    # In 3 of 5 against 2 of 5: .2 of one whose deviation is .5, so .4.
    close = described([options] * 3 + [plain] * 2 + [options] * 2 + [plain] * 3, [1] * 5 + [0] * 5)
    assert not any("answer options" in words for words in (*close["large"], *close["small"]))


def test_words_are_those_of_a_models_own_tasks():
    questions = ["add apples", "add pears", "prove lemmas", "prove claims"]
    found = described(questions, [0, 0, 1, 1])
    assert found["small"][-1] == "words such as add" and found["large"][-1] == "words such as prove"


def test_a_domain_is_named_where_a_model_gets_fifteen_points_more_of_it_than_of_all_tasks():
    # Half of all tasks go to large: three quarters of code, .6 of tables and none of logic.
    domains = ["code"] * 4 + ["tables"] * 5 + ["logic"] * 3
    served = [1, 1, 1, 0] + [1, 1, 1, 0, 0] + [0] * 3
    found = described(["same"] * 12, served, domains=domains)
    assert found == {"large": ("most of code (75%)",), "small": ("most of logic (100%)",)}
    # One domain alone sets nothing apart.
    assert described(["same"] * 4, [1, 1, 1, 0]) == {"large": (), "small": ()}


def test_without_prompts_domains_are_what_is_left():
    known = outcomes(["a"] * 4, domains=["code", "code", "logic", "logic"])
    blank = replace(known, tasks=known.tasks.assign(question=None))
    found = routes(blank, np.array([1, 1, 0, 0]))
    assert [route.tasks for route in found] == [("most of logic (100%)",), ("most of code (100%)",)]


@pytest.mark.parametrize(("rare", "said"), [(1, ()), (2, ("most of code (100%)",))])
def test_a_model_of_less_than_two_percent_of_the_tasks_is_not_described(rare, said):
    found = described(
        ["same"] * 100, [1] * rare + [0] * (100 - rare), domains=["code"] * rare + ["logic"] * (100 - rare)
    )
    assert found["large"] == said
