"""Advice calls no router better where prompts tell nothing; `make validate-statistics` draws 400 tables per size."""

import numpy as np

from slm_orchestration.studies.signal_free import TASKS, false_betters, signal_free


def test_hardly_any_router_is_better_without_a_signal():
    found = [
        value for models in (2, 13) for one in false_betters(range(8), models=models, seed=1) for value in one.values()
    ]
    assert len(found) == 16 and sum(found) <= 1


def test_a_simulated_table_has_every_model_on_every_task():
    imported = signal_free(3, np.random.default_rng(0))
    assert len(imported.outcomes) == 3 * TASKS
    costs = imported.outcomes.groupby("model")["cost_usd"].mean()
    assert list(costs.sort_values().index) == list(imported.models)
