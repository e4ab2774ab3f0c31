"""A probe of hidden states: what it learns and what it pays."""

import dataclasses

import numpy as np
import pytest

from slm_orchestration.routing.access import fit_table, guarded, side_table_keys
from slm_orchestration.routing.outcome_matrix import SideTable
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.routing.routers.hidden_state import HiddenStateRouter
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from tests.routing.routers.by_hand import IS_HARD, QUALITY_OF_PAIR
from tests.routing.tables_by_hand import matrix


def _with_states():
    # the second coordinate of the state says whether the task is hard
    rng = np.random.default_rng(1)
    states = rng.normal(size=(200, 8))
    states[:, 1] = np.where(IS_HARD, 2.0, -2.0) + rng.normal(size=200)
    recorded = SideTable(states.astype(np.float32), np.full(200, 0.5), np.full(200, 0.05), np.zeros(200))
    return dataclasses.replace(matrix(QUALITY_OF_PAIR), side={"state:small": recorded})


def test_a_probe_of_states_tells_what_the_small_model_fails():
    outcomes = _with_states()
    router = HiddenStateRouter("cheapest", dimensions=8, seed=0)
    assert side_table_keys(router, outcomes.models) == ["state:small"]
    quality = guarded(router.fit(fit_table(outcomes, router)), outcomes)(())
    assert quality[IS_HARD, 0].mean() < 0.35 and quality[~IS_HARD, 0].mean() > 0.65


def test_a_state_is_paid_before_any_call_and_is_part_of_its_models_own():
    outcomes = _with_states()
    fitted = RoutedStrategy("s", HiddenStateRouter("small", dimensions=8, seed=0), Utility()).fit(outcomes, outcomes)
    paid = replay("s", fitted.choose(outcomes, np.array([0.0, 1.0]))["s"], outcomes, overhead=Overhead())
    large = paid.choices.called[0, :, 1]
    assert large.any()
    # a state costs .5; the large call 10 more, the small one 1 with its state
    assert paid.cost_usd[0, large].tolist() == [10.5] * large.sum()
    assert paid.cost_usd[1].tolist() == [1.0] * 200
    assert paid.latency_s[1].tolist() == pytest.approx([0.1] * 200)
