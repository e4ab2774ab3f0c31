"""A strategy fits a copy of its router, compares costs on fit tasks, and chooses under its own name."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from slm_orchestration.routing.features import LatentSemantics
from slm_orchestration.routing.routers.confidence import ConfidenceRouter
from slm_orchestration.routing.routers.knn import NearestTasksRouter
from slm_orchestration.routing.rules import Cascade, Utility
from slm_orchestration.routing.strategy import RoutedStrategy, relative_cost
from tests.routing.known import Known
from tests.routing.tables_by_hand import matrix

OUTCOMES = matrix([[1, 1, 1], [0, 1, 1], [0, 0, 1]], confidence=[[0.9, 0.9, 0.9], [0.2, 0.8, 0.9], [0.2, 0.3, 0.9]])
GRID = np.linspace(0, 1, 11)


def test_relative_costs_are_means_on_fit_tasks_over_that_of_the_most_expensive_model():
    costs = np.array([[1.0, 2.0, 10.0], [3.0, 4.0, 10.0], [2.0, 6.0, 20.0]])
    # means 2, 4 and 40/3
    assert relative_cost(replace(OUTCOMES, cost_usd=costs)) == pytest.approx([0.15, 0.3, 1.0])


def test_costs_cannot_be_compared_with_a_model_that_costs_nothing():
    with pytest.raises(ValueError, match="model 'large' costs nothing on the fit tasks"):
        relative_cost(replace(OUTCOMES, cost_usd=np.zeros((3, 3))))


def test_a_router_is_tuned_on_calibration_tasks_and_the_configured_one_stays_unfitted():
    fit = matrix([[1, 1], [1, 1], [0, 1], [0, 1]], questions=["red apple tree"] * 2 + ["prime number theorem"] * 2)
    many = matrix([[1, 1], [0, 1]] * 10, questions=["red apple tree", "prime number theorem"] * 10)
    strategy = RoutedStrategy("s", NearestTasksRouter(LatentSemantics(8, seed=0), (2, 4)), Utility())
    assert strategy.fit(fit, many).router.k == 2
    assert strategy.fit(fit, many.take(np.arange(0))).router.k == 0
    assert not hasattr(strategy.router, "k")


def test_choices_have_the_strategys_name_and_prompts_cost_nothing_to_read():
    known = Known(np.array([[0.2, 0.9, 0.5], [0.2, 0.1, 0.5], [1.0, 1.0, 1.0]]))
    (name, choices), *others = (
        RoutedStrategy("mine", known, Utility()).fit(OUTCOMES, OUTCOMES).choose(OUTCOMES, GRID).items()
    )
    assert (name, others) == ("mine", [])
    assert choices.served[0].tolist() == [1, 2, 0]
    assert choices.read_costs is None


def test_pieces_cover_every_task_at_every_threshold_once():
    fitted = RoutedStrategy("c", ConfidenceRouter(), Cascade()).fit(OUTCOMES, OUTCOMES)
    widths = np.zeros(3)
    for block in fitted.pieces(OUTCOMES):
        for piece in block:
            np.add.at(widths, piece.task, piece.high - piece.low)
    assert widths == pytest.approx([1.0, 1.0, 1.0])


def test_the_rule_knows_which_answers_the_router_reads():
    reader = RoutedStrategy("c", ConfidenceRouter(), Cascade()).fit(OUTCOMES, OUTCOMES)
    blind = RoutedStrategy("k", Known(np.full((3, 3), 0.5)), Utility()).fit(OUTCOMES, OUTCOMES)
    assert reader.pool_info(OUTCOMES.models).readable == {0, 1, 2}
    assert blind.pool_info(OUTCOMES.models).readable == frozenset()
    assert blind.pool_info(OUTCOMES.models).relative_cost.tolist() == [0.1, 0.3, 1.0]


def test_a_dominated_model_that_no_one_chooses_changes_no_decision():
    @dataclass
    class Table:
        row: list
        reads: frozenset = frozenset({"prompt"})

        def fit(self, outcomes):
            return self

        def predict_quality(self, prompts, answers):
            return np.tile(self.row, (len(prompts), 1))

    pair, three = matrix([[1, 1], [0, 1]]), matrix([[1, 0, 1], [0, 0, 1]])
    grid = np.linspace(0, 1, 21)
    two = RoutedStrategy("s", Table([0.4, 0.8]), Utility()).fit(pair, pair).choose(pair, grid)["s"]
    more = RoutedStrategy("s", Table([0.4, 0.0, 0.8]), Utility()).fit(three, three).choose(three, grid)["s"]
    assert (np.where(two.served == 1, 2, 0) == more.served).all()


def test_permuting_tasks_permutes_decisions():
    order = np.array([2, 0, 1])
    fitted = RoutedStrategy("c", ConfidenceRouter(), Cascade()).fit(OUTCOMES, OUTCOMES)
    grid = np.linspace(0, 1, 11)
    straight = fitted.choose(OUTCOMES, grid)["c"].served[:, order]
    assert (straight == fitted.choose(OUTCOMES.take(order), grid)["c"].served).all()
