"""Intervals of dollars and seconds hold the profile's error too, as far as it does not cancel."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from slm_orchestration.statistics.modelled import profile_error, with_profile_error
from slm_orchestration.statistics.strategy_matrix import References, StrategyMatrix

MODELS = ("small", "large")
PROFILE = pd.DataFrame(
    [("small", "one", 0.02), ("small", "saturated", 0.06745), ("large", "one", 0.03), ("large", "saturated", 0.13490)],
    columns=["model", "concurrency", "heldout_error"],
)
# Per task the small model costs 1, the large one 9; the router calls the large one on one task of four.
CALLED = np.array([[True, False]] * 3 + [[False, True]])
STRATEGIES = ["always_large", "always_small", "mixed", "router"]
COST = np.array([[9.0, 1.0, 5.0, 1.0]] * 3 + [[9.0, 1.0, 5.0, 9.0]])


def matrix():
    tasks = pd.DataFrame({"task_id": list("abcd"), "domain": "d", "dataset": "d", "group": list("abcd")})
    names = ("quality", "cost_usd", "latency_s", "small_share", "device_s")
    references = References("always_small", "always_large", ("always_small", "always_large"))
    return StrategyMatrix(tasks, STRATEGIES, dict.fromkeys(names, COST), references)


def widened(strategy, metric, estimate, low, high):
    row = {"strategy": strategy, "domain": "overall", "metric": metric, "estimate": estimate, "low": low, "high": high}
    frame = pd.DataFrame([row | {"level": 0.95, "tasks": 4, "method": "bootstrap"}])
    called = {"router": CALLED, "always_large": CALLED[[3] * 4], "always_small": CALLED[[0] * 4]}
    return with_profile_error(frame, matrix(), called, profile_error(PROFILE, MODELS)).iloc[0]


def test_a_quarter_of_the_dollars_small_and_three_quarters_large_have_the_error_of_both():
    # 3 of 12 dollars are the small model's (error .1), 9 the large one's (.2): sqrt(.025² + .15²)
    row = widened("router", "cost_usd", 3.0, 3.0, 3.0)
    beyond = stats.norm.ppf(0.975) * np.hypot(0.25 * 0.1, 0.75 * 0.2)
    assert (row["low"], row["high"]) == pytest.approx((3 * np.exp(-beyond), 3 * np.exp(beyond)), rel=1e-3)
    assert row["method"] == "bootstrap, with the latency profile's held-out error"


def test_in_a_saving_the_error_of_the_shared_model_cancels():
    # 9 over 3: the large model's error counts 1 - .75, the small one's .25
    row = widened("router", "cost_saving", 3.0, 3.0, 3.0)
    beyond = stats.norm.ppf(0.975) * np.hypot(0.25 * 0.1, 0.25 * 0.2)
    assert row["high"] == pytest.approx(3 * np.exp(beyond), rel=1e-3)
    alone = widened("always_large", "cost_saving", 1.0, 0.9, 1.1)
    assert (alone["low"], alone["high"], alone["method"]) == (0.9, 1.1, "bootstrap")


def test_the_profiles_error_adds_to_the_samples_and_never_narrows():
    row = widened("router", "cost_usd", 3.0, 2.0, 4.0)
    assert row["low"] < 2.0 and row["high"] > 4.0
    assert np.log(3 / row["low"]) < np.log(3 / 2) + stats.norm.ppf(0.975) * np.hypot(0.025, 0.15)


def test_a_random_mix_has_the_error_of_its_expected_shares():
    # 5 = .5 · 1 + .5 · 9: a tenth of the dollars small, nine tenths large
    row = widened("mixed", "cost_usd", 5.0, 5.0, 5.0)
    beyond = stats.norm.ppf(0.975) * np.hypot(0.1 * 0.1, 0.9 * 0.2)
    assert row["high"] > 5 * np.exp(0.8 * beyond)


def test_quality_has_no_profile():
    assert widened("router", "quality", 0.5, 0.4, 0.6)["method"] == "bootstrap"
