"""Exact curves are what replaying at every threshold would give."""

import numpy as np
import pytest

from slm_orchestration.routing import sweep
from slm_orchestration.routing.features import LatentSemantics, TaskAnalysis
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.routing.routers.confidence import ConfidenceRouter
from slm_orchestration.routing.routers.confidence_regression import ConfidenceRegressionRouter
from slm_orchestration.routing.rules import Cascade, CascadeRouting, Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from tests.routing.known import Known
from tests.routing.tables_by_hand import matrix

ANSWERS = frozenset({"prompt", "answer:*"})


def _random_matrix(tasks: int, *, seed: int = 0):
    rng = np.random.default_rng(seed)
    questions = [f"{'Prove that' if row % 3 else 'What is'} {row} {'plus' * (row % 5)}?" for row in range(tasks)]
    return matrix(rng.integers(0, 2, (tasks, 3)), confidence=rng.random((tasks, 3)), questions=questions)


def test_two_tasks_whose_changes_a_reader_can_add_up():
    # both start with the large model; costs are 1 and 10, so going small saves .9 of the large one's cost
    # task 0: gain .125 -> (1-t)·.125 = t·.9 -> t = .125/1.025; task 1: gain .875 -> t = .875/1.775
    outcomes = matrix([[1, 1], [0, 1]])
    router = Known(np.array([[0.875, 1.0], [0.125, 1.0]]))
    found = RoutedStrategy("s", router, Utility()).fit(outcomes, outcomes).changes(outcomes, overhead=Overhead())
    curve = sweep.curve(found)
    assert curve.threshold == pytest.approx([0.0, 0.125 / 1.025, 0.875 / 1.775])
    assert curve["quality"] == pytest.approx([1.0, 1.0, 0.5])
    assert curve["cost_usd"] == pytest.approx([10.0, 5.5, 1.0])
    assert curve["most_expensive_share"] == pytest.approx([1.0, 0.5, 0.0])
    assert curve["small_share"] == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("router", "rule"),
    [
        (ConfidenceRouter(), Cascade()),
        (ConfidenceRegressionRouter(TaskAnalysis(LatentSemantics(dimensions=4, seed=0))), Utility()),
        (Known(np.random.default_rng(1).random((60, 3))), Utility()),
        (Known(*np.random.default_rng(1).random((2, 60, 3)), reads=ANSWERS), Utility()),
        (Known(*np.random.default_rng(1).random((2, 60, 3)), reads=ANSWERS), CascadeRouting(depth=3)),
        (Known(*np.random.default_rng(2).integers(0, 3, (2, 60, 3)) / 2, reads=ANSWERS), CascadeRouting(depth=1)),
    ],
    ids=["cascade", "adaptive", "utility", "utility that escalates", "cascade routing", "greedy, with ties"],
)
def test_the_exact_curve_meets_every_replayed_threshold(router, rule):
    outcomes, overhead = _random_matrix(60), Overhead(latency_s=0.01, cost_usd=0.02)
    fitted = RoutedStrategy("s", router, rule).fit(outcomes, outcomes)
    curve = sweep.curve(fitted.changes(outcomes, overhead=overhead))
    grid = np.linspace(0.0013, 0.9991, 237)  # none is a multiple of 1/4096, where a choice may change
    replayed = replay("s", fitted.choose(outcomes, grid)["s"], outcomes, overhead=overhead)
    piece = np.searchsorted(curve.threshold, grid, side="right") - 1
    assert curve["quality"][piece] == pytest.approx(replayed.quality.mean(axis=1))
    assert curve["cost_usd"][piece] == pytest.approx(replayed.cost_usd.mean(axis=1))
    assert curve["latency_s"][piece] == pytest.approx(replayed.latency_s.mean(axis=1))
    assert curve["small_share"][piece] == pytest.approx(1 - replayed.escalated.mean(axis=1))


def test_tasks_that_change_at_the_same_threshold_make_one_point():
    outcomes = matrix([[0, 1]] * 5)
    fitted = RoutedStrategy("s", Known(np.tile([0.1, 1.0], (5, 1))), Utility()).fit(outcomes, outcomes)
    assert len(sweep.curve(fitted.changes(outcomes, overhead=Overhead())).threshold) == 2
