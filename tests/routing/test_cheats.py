"""No cheat gains: each is refused, or its strategy is declared privileged. What isolation stops: test_isolated.py."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from slm_orchestration.routing.access import fit_table, guarded
from slm_orchestration.routing.outcome_matrix import SideTable
from slm_orchestration.routing.references import DomainTableGiven, Oracle
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.routing.rules import Cascade, Utility
from slm_orchestration.routing.strategy import PRIVILEGES, RoutedStrategy, declared, shown
from tests.routing import cheats
from tests.routing.tables_by_hand import matrix

ANSWERS = frozenset({"prompt", "answer:*"})
# The small model solves the first half of the file, the large one the second half.
HALVES = matrix([[1, 0]] * 20 + [[0, 1]] * 20, confidence=[[0.9, 0.5]] * 20 + [[0.1, 0.5]] * 20)


def mean_quality(strategy, outcomes=HALVES, threshold=0.0):
    fitted = strategy.fit(outcomes, outcomes)
    [choices] = fitted.choose(shown(fitted, declared(strategy), outcomes), np.array([threshold])).values()
    return replay("s", choices, outcomes, overhead=Overhead()).quality.mean()


def test_a_strategy_that_reads_quality_without_saying_so_sees_none():
    assert mean_quality(cheats.ReadsQuality()) == 0.5
    assert mean_quality(Oracle()) == 1.0


def test_privilege_is_declared_by_the_class_and_not_by_a_name_or_an_instance():
    declaring = type("Declaring", (cheats.ReadsQuality,), {"reads": frozenset({"quality"})})
    assert mean_quality(declaring()) == 1.0
    assert declared(declaring()) & PRIVILEGES and declared(DomainTableGiven()) & PRIVILEGES
    instance = cheats.ReadsQuality()
    instance.reads = frozenset({"quality"})
    assert declared(instance) == frozenset()


def test_a_strategy_that_reads_the_domain_or_unpaid_answers_without_saying_so_finds_none():
    for cheat, error in ((cheats.ReadsDomain(), KeyError), (cheats.ReadsAnswers(), None)):
        hidden = shown(cheat, declared(cheat), HALVES)
        if error is None:
            assert cheat.choose(hidden, np.array([0.0]))["mine"].size == 0
        else:
            with pytest.raises(error):
                cheat.choose(hidden, np.array([0.0]))


def test_the_order_of_the_file_says_nothing():
    # In the file's order these predictions would be right on every task.
    assert 0.2 < mean_quality(RoutedStrategy("s", cheats.RowOrder(), Utility()), threshold=0.05) < 0.8


def test_only_answers_of_tasks_that_reached_a_state_are_handed_over():
    outcomes = matrix([[1, 0, 0]] * 4, confidence=[[0.9] * 3, [0.8] * 3, [0.2] * 3, [0.1] * 3])
    fitted = RoutedStrategy("s", cheats.Watching(ANSWERS), Cascade()).fit(outcomes, outcomes)
    fitted.router.handed.clear()
    fitted.choose(outcomes, np.array([0.5]))
    first, second = (sorted(texts) for texts, *_ in fitted.router.handed)
    assert first == [f"question {row}" for row in range(4)]
    assert second == ["question 2", "question 3"]
    fitted.router.handed.clear()
    list(fitted.pieces(outcomes))
    assert all(len(texts) == len(set(rows)) for texts, rows, _ in fitted.router.handed)


def test_reads_are_frozen_at_the_fit_so_that_a_read_is_paid_whatever_is_said_later():
    ones = np.ones(40)
    states = SideTable(np.ones((40, 2), dtype=np.float32), ones, ones, ones)
    outcomes = replace(HALVES, side={"state:small": states})
    router = cheats.ChangesItsReads(frozenset({"prompt", "state:small"}))
    fitted = RoutedStrategy("s", router, Utility()).fit(outcomes, outcomes)
    fitted.choose(outcomes, np.array([1.0]))
    fitted.router.predict_quality(outcomes.tasks, outcomes.answers)
    assert fitted.router.reads == frozenset({"prompt"})
    costs = fitted.choose(outcomes, np.array([1.0]))["s"].read_costs
    assert costs.before_calls["cost_usd"].tolist() == [1.0] * 40


def test_what_is_handed_over_are_copies_down_to_states_and_samples():
    zeros, values = np.zeros(40), np.empty(40, dtype=object)
    values[:] = [["a", "b"] for _ in range(40)]
    states = np.ones((40, 2), dtype=np.float32)
    side = {"state:small": SideTable(states, zeros, zeros, zeros), "samples:small:2": SideTable(values, *[zeros] * 3)}
    outcomes = replace(HALVES, side=side)
    before = copy.deepcopy(outcomes)
    router = cheats.Vandal(frozenset({"prompt", "state:small", "answer:small", "samples:small:2"}))
    guarded(router.fit(fit_table(outcomes, router)), outcomes)((0,))
    assert (outcomes.side["state:small"].values == 1.0).all()
    assert outcomes.side["samples:small:2"].values[0] == ["a", "b"]
    assert outcomes.tasks.equals(before.tasks) and outcomes.answers.equals(before.answers)


def test_nothing_is_remembered_from_one_walk_to_the_next():
    strategy = RoutedStrategy("s", cheats.Remembers(ANSWERS), Utility())
    fitted = strategy.fit(HALVES, HALVES)
    grid = np.array([0.0, 0.3])
    first, second = (fitted.choose(HALVES, grid)["s"] for _ in range(2))
    assert (first.served == second.served).all()
    assert (first.called == second.called).all()
