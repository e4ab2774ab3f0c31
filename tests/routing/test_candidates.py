"""The thresholds of a router are quantiles of its scores, and vectors are shared."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing.candidates import MOST_THRESHOLDS, SharedVectors, candidates, thresholds_of
from slm_orchestration.routing.features import LatentSemantics
from slm_orchestration.routing.references import FittedDomainTable, Mixture
from slm_orchestration.routing.replay import Overhead, replay
from tests.routing.tables_by_hand import matrix


def test_a_domain_table_has_a_threshold_between_all_its_changes():
    # The second model gains .5 in one domain and .2 in the other for a relative cost of .9 more: it is dropped at
    # t = .5 / 1.4 and .2 / 1.1, and so there is a threshold below, between and above them.
    table = FittedDomainTable(
        {"x": np.array([0.4, 0.9]), "y": np.array([0.6, 0.8])}, np.array([0.5, 0.85]), np.array([0.1, 1.0])
    )
    found = thresholds_of(table, matrix([[0, 1]]))
    assert found[0] == 0 and found[-1] == 1 and len(found) <= MOST_THRESHOLDS
    for low, high in ((0, 0.2 / 1.1), (0.2 / 1.1, 0.5 / 1.4), (0.5 / 1.4, 1)):
        assert ((found > low) & (found < high)).any()


def test_each_threshold_of_a_router_moves_about_as_many_tasks():
    rng = np.random.default_rng(0)
    words = rng.integers(0, 60, 600)
    outcomes = matrix([[float(rng.random() < word / 60), 1.0] for word in words])
    outcomes.tasks["question"] = [f"word{word} " * 2 + f"other{word % 7}" for word in words]
    fitted = candidates(0)["logistic"].fit(outcomes, outcomes)
    thresholds = thresholds_of(fitted, outcomes)
    assert len(thresholds) == pytest.approx(MOST_THRESHOLDS, abs=3)
    choices = fitted.choose(outcomes, thresholds)["logistic"]
    share = replay("logistic", choices, outcomes, overhead=Overhead()).escalated.mean(axis=1)
    assert np.abs(np.diff(share)).max() < 0.12  # equal steps of .025 move up to a third at once


def test_what_has_no_score_has_equal_steps():
    outcomes = matrix([[0, 1], [1, 1]])
    assert (
        thresholds_of(Mixture("mixture", 0).fit(outcomes, outcomes), outcomes).tolist()
        == np.linspace(0, 1, 41).tolist()
    )


def test_shared_vectors_are_those_of_the_wrapped_ones_and_fitted_once():
    prompts = pd.Series([f"alpha beta {n % 5} gamma" for n in range(40)])
    own, shared = LatentSemantics(4, 0).fit(prompts), SharedVectors(LatentSemantics(4, 0))
    assert (shared.fit(prompts).transform(prompts) == own.transform(prompts)).all()
    first = shared.transform(prompts)
    assert shared.fit(prompts.copy()).transform(prompts.copy()) is first
