"""Votes and checks over several answers to one task."""

from dataclasses import replace

import numpy as np
import pytest

from slm_orchestration.serving.orchestrator import as_task
from slm_orchestration.studies.votes import (
    CandidateAnswer,
    aggregated,
    best,
    cluster_interval,
    first,
    majority,
    method_table,
    passes,
    single_model,
    weighted,
)
from tests.routing.tables_by_hand import matrix

FREE = as_task("What is 6 times 7?", max_tokens=8)
CHOICE = replace(FREE, choices=["A", "B"], scorer="choice")


def said(*pairs):
    return [CandidateAnswer(answer, confidence) for answer, confidence in pairs]


def test_a_majority_counts_equal_final_answers_and_serves_the_surest_of_them():
    assert majority(FREE, said(("41", 0.9), ("Answer: 42", 0.3), ("**42**", 0.4))) == 2


def test_a_tie_goes_to_the_surest_and_weights_can_overrule_a_majority():
    assert majority(FREE, said(("41", 0.2), ("42", 0.3))) == 1
    assert weighted(FREE, said(("41", 0.9), ("42", 0.3), ("42", 0.4))) == 0
    assert best(FREE, said(("41", 0.2), ("42", 0.9), ("43", 0.9))) == 1


def test_no_answers_cannot_be_voted_on():
    with pytest.raises(ValueError, match="no answer to choose from"):
        majority(FREE, [])


def test_a_check_looks_at_the_form_and_escalates_to_the_last_when_none_passes():
    assert first(CHOICE, said(("C", 0.9), ("B", 0.1), ("A", 0.2))) == 1
    assert first(CHOICE, said(("C", 0.9), ("D", 0.1))) == 1


@pytest.mark.parametrize(
    ("scorer", "right", "wrong"),
    [
        ("json_equality", 'Here: {"a": 1}', "{'a': "),
        ("function_call", "[f(x=1)]", "call f with 1"),
        ("unit_tests", "```python\ndef f():\n    return 1\n```", "def f(:"),
        ("exact", "Paris", "  "),
    ],
)
def test_answers_must_have_the_form_that_the_task_asks_for(scorer, right, wrong):
    assert passes(replace(FREE, scorer=scorer), right)
    assert not passes(replace(FREE, scorer=scorer), wrong)


def test_a_vote_pays_for_every_voter_and_a_check_for_those_asked():
    outcomes = matrix([[0.0, 1.0, 1.0]] * 2)  # costs 1, 3 and 10; all say "A"
    tasks = [CHOICE, replace(CHOICE, choices=["B", "C"])]
    vote, checked = (aggregated(method, tasks, outcomes, [0, 1]) for method in (majority, first))
    assert vote.cost_usd.tolist() == [4.0, 4.0]
    assert checked.cost_usd.tolist() == [1.0, 4.0]
    assert checked.quality.tolist() == [0.0, 1.0]


def test_the_table_compares_with_the_most_expensive_model_and_equal_seeds_give_equal_intervals():
    outcomes = matrix([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]])
    table = method_table({"small": single_model(outcomes, 0)}, outcomes, resamples=200, seed=1)
    assert table[["quality", "against", "cost_usd"]].to_numpy().tolist() == [[0.25, -0.5, 1.0]]
    values, groups = np.array([0.0, 1.0, 1.0, 0.0]), np.array(["a", "a", "b", "c"])
    one = cluster_interval(values, groups, resamples=200, seed=1)
    assert one == cluster_interval(values, groups, resamples=200, seed=1)
    assert 0 <= one[0] <= 0.5 <= one[1] <= 1
