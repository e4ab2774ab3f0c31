"""The table that a router is fitted on, as arrays."""

import dataclasses

import numpy as np
import pytest

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.outcome_matrix import SideTable
from slm_orchestration.routing.router import Tunable, fit_data
from slm_orchestration.routing.routers.hidden_state import HiddenStateRouter
from slm_orchestration.routing.routers.knn import NearestTasksRouter
from slm_orchestration.routing.routers.length import LengthRouter
from tests.routing.routers.by_hand import words
from tests.routing.tables_by_hand import matrix

OUTCOMES = matrix(
    [[0, 0.5, 1], [1, 0, 0]],
    confidence=[[0.1, 0.2, 0.3], [0.4, np.nan, 0.6]],
    questions=["one", "two"],
    domains=["logic", "code"],
)


def test_arrays_keep_the_order_of_tasks_and_of_models():
    fit = fit_data(fit_table(OUTCOMES))
    assert fit.models == ("small", "middle", "large")
    assert fit.prompts.tolist() == ["one", "two"]
    assert fit.domains.tolist() == ["logic", "code"]
    assert fit.groups.tolist() == ["group/0", "group/1"]
    assert fit.quality.tolist() == [[0, 0.5, 1], [1, 0, 0]]
    assert fit.cost_usd.tolist() == [[1.0, 3.0, 10.0]] * 2
    assert np.isnan(fit.confidence).tolist() == [[False] * 3, [False, True, False]]
    assert fit.confidence[0].tolist() == [0.1, 0.2, 0.3]
    assert fit.states is None


def test_states_are_those_that_the_router_reads_a_row_per_task():
    states = SideTable(np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32), *np.zeros((3, 2)))
    outcomes = dataclasses.replace(OUTCOMES, side={"state:small": states})
    fit = fit_data(fit_table(outcomes, HiddenStateRouter("small", dimensions=2, seed=0)))
    assert fit.states.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_without_a_task_there_is_nothing_to_fit_on():
    with pytest.raises(ValueError, match="no fit task"):
        fit_data(fit_table(OUTCOMES).iloc[:0])


def test_a_router_with_a_setting_to_tune_is_told_from_one_without():
    assert isinstance(NearestTasksRouter(words(), (5,)), Tunable)
    assert not isinstance(LengthRouter(), Tunable)
