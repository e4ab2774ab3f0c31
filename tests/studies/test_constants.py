"""Constant models beside each other: small costs 1, middle 3 and large 10."""

from dataclasses import replace

import numpy as np
import pytest

from slm_orchestration.studies.constants import dominated_models, reference_model
from tests.routing.tables_by_hand import matrix


def dominated(known, evaluation=None):
    return list(dominated_models(known, known if evaluation is None else evaluation))


def pairs(known):
    return [(one.model, one.by) for one in dominated(known)]


def test_the_reference_is_the_best_model_and_of_equals_the_cheapest():
    assert reference_model(matrix([[0, 1, 0.5]] * 2), None) == 1
    assert reference_model(matrix([[0, 1, 1]] * 2), None) == 1
    assert reference_model(matrix([[1, 0, 1], [0, 1, 0]]), None) == 0


def test_a_reference_that_is_asked_for_need_not_be_the_best_but_must_exist():
    known = matrix([[0, 1, 0.5]] * 2)
    assert reference_model(known, "large") == 2
    with pytest.raises(ValueError, match=r"^reference=huge: no such model; they are small, middle, large$"):
        reference_model(known, "huge")


def test_a_model_is_dominated_by_one_that_is_as_good_and_cheaper_or_better_and_no_more_expensive():
    assert pairs(matrix([[0, 0.5, 1]] * 2)) == []
    assert pairs(matrix([[0, 1, 1]] * 2)) == [("large", "middle")]
    # The other way round money buys quality: a better model at a higher price dominates nobody.
    same_price = replace(matrix([[0, 1, 1]] * 2), cost_usd=np.full((2, 3), 2.0))
    assert pairs(same_price) == [("small", "middle")]


def test_costs_that_differ_by_rounding_are_equal():
    costs = np.array([[0.3, 0.1 + 0.2, 0.3]] * 2)
    assert pairs(replace(matrix([[1, 1, 1]] * 2), cost_usd=costs)) == []
    assert pairs(replace(matrix([[1, 1, 1]] * 2), cost_usd=costs[:, [1, 0, 1]])) == []
    # The better model costs no more than the others.
    assert pairs(replace(matrix([[0, 1, 0]] * 2), cost_usd=costs)) == [("large", "middle"), ("small", "middle")]


def test_the_most_expensive_comes_first_and_each_names_the_best_that_dominates_it():
    # small .25, middle .5, large 0: both others dominate large, and middle is the better one.
    known = matrix([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]])
    assert pairs(known) == [("large", "middle")]
    # small 1, middle .5, large 0: small dominates both.
    assert pairs(matrix([[1, 1, 0], [1, 0, 0]])) == [("large", "small"), ("middle", "small")]


def test_the_difference_is_estimated_on_evaluation_tasks_with_students_interval():
    known = matrix([[1, 0], [1, 0]])
    # small less large: 1, 0, 1, 0. Mean .5; four deviations of .5 give an error of sqrt(4/3 · 4 · (.5/4)²) = .2887,
    # times 3.1824, the 97.5 % point of t with 3 degrees of freedom.
    (one,) = dominated(known, matrix([[1, 0], [0, 0], [1, 0], [1, 1]]))
    assert (one.model, one.by, one.difference) == ("large", "small", 0.5)
    assert (one.low, one.high) == pytest.approx((0.5 - 0.9187, 0.5 + 0.9187), abs=1e-4)
    assert one.cost_share == pytest.approx(0.1)


def test_tasks_of_one_group_count_once():
    evaluation = matrix([[1, 0], [1, 0], [0, 0], [0, 0]])
    grouped = replace(evaluation, tasks=evaluation.tasks.assign(group=["a", "a", "b", "b"]))
    (one,) = dominated(matrix([[1, 0], [1, 0]]), grouped)
    # Sums of deviations are 1 and -1: an error of sqrt(2/1 · 2 · (1/4)²) = .5, times 12.706 with 1 degree of freedom.
    assert (one.low, one.high) == pytest.approx((0.5 - 6.3531, 0.5 + 6.3531), abs=1e-4)


@pytest.mark.filterwarnings("error")
def test_beside_a_model_that_costs_nothing_there_is_no_share_of_its_cost():
    free = replace(matrix([[1, 0], [1, 0]]), cost_usd=np.zeros((2, 2)))
    (one,) = dominated(free)
    assert one.model == "large" and np.isnan(one.cost_share)
    assert (one.low, one.difference, one.high) == (1.0, 1.0, 1.0)
