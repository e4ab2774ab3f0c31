"""A strategy on both splits and at its chosen threshold."""

import numpy as np
import pytest

from slm_orchestration.routing.evaluation import evaluate
from slm_orchestration.routing.operating_point import Fixed, GuaranteedRetention
from slm_orchestration.routing.references import Constant
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.routers.length import LengthRouter
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from tests.routing.tables_by_hand import matrix

QUESTIONS = ["a", "a" * 9, "a" * 99]
NOTHING = Overhead()


def test_the_rules_own_threshold_is_replayed_and_served():
    outcomes = matrix([[1, 1], [0, 1], [0, 1]], questions=QUESTIONS)
    fitted = RoutedStrategy("length", LengthRouter(), Utility()).fit(outcomes, outcomes)
    (found,) = evaluate(fitted, Fixed(0.35), outcomes, outcomes, reads=frozenset(), thresholds=[0, 1], overhead=NOTHING)
    assert found.choices.thresholds.tolist() == [0, 0.35, 1] and found.threshold == 0.35 and found.has_thresholds
    assert found.served is found.on_evaluation and found.position == 1
    alone = fitted.choose(outcomes, np.array([0.35]))["length"].served[0]
    assert found.served.choices.served[1].tolist() == alone.tolist()


def test_where_nothing_is_certified_the_most_expensive_model_is_served():
    outcomes = matrix([[1, 1], [0, 1], [0, 1]], questions=QUESTIONS)
    fitted = RoutedStrategy("length", LengthRouter(), Utility()).fit(outcomes, outcomes)
    rule = GuaranteedRetention(0.95, 0.05, 0)
    (found,) = evaluate(fitted, rule, outcomes, outcomes, reads=frozenset(), thresholds=[0.5, 1], overhead=NOTHING)
    assert found.chosen.most_expensive_always and np.isnan(found.threshold)
    assert found.served.cost_usd[found.position].tolist() == [10, 10, 10]


def test_a_constant_has_no_thresholds_and_is_one_strategy_per_model():
    outcomes = matrix([[1, 1], [0, 1]])
    fitted = Constant().fit(outcomes, outcomes)
    found = list(
        evaluate(fitted, Fixed(0.5), outcomes, outcomes, reads=frozenset(), thresholds=[0, 1], overhead=NOTHING)
    )
    assert [one.name for one in found] == ["always_small", "always_large"]
    assert not any(one.has_thresholds for one in found)
    assert [one.served.quality[one.position].mean() for one in found] == pytest.approx([0.5, 1])
