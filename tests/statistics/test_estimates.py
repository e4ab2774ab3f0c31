import numpy as np
import pandas as pd
import pytest

from slm_orchestration.statistics.bootstrap import resample
from slm_orchestration.statistics.estimates import summarise
from slm_orchestration.statistics.strategy_matrix import strategy_matrix
from tests.statistics.examples import make_decisions, make_tasks, pool, small_matrix

COSTS = {"always_tiny": 1.0, "always_mid": 2.0, "always_big": 4.0, "guess": 0.0, "router": 2.0}


def estimates_of(table, resamples=400, seed=0) -> pd.DataFrame:
    return summarise(resample(table, resamples=resamples, seed=seed), level=0.95)


def pick(estimates: pd.DataFrame, strategy: str, metric: str, domain: str = "overall") -> pd.Series:
    return estimates.set_index(["strategy", "metric", "domain"]).loc[(strategy, metric, domain)]


@pytest.fixture(scope="module")
def estimates() -> pd.DataFrame:
    tasks = make_tasks(400)
    return estimates_of(strategy_matrix(make_decisions(tasks), tasks, pool()))


def test_estimates_are_the_plain_means_of_the_tasks(estimates):
    decisions = make_decisions(make_tasks(400))
    clever, big = (decisions[decisions["strategy"] == name] for name in ("clever", "always_big"))
    assert pick(estimates, "clever", "quality").estimate == pytest.approx(clever["quality"].mean())
    assert pick(estimates, "clever", "cost_saving").estimate == pytest.approx(
        big["cost_usd"].sum() / clever["cost_usd"].sum()
    )
    in_domain = clever.loc[clever["domain"] == "domain-1", "quality"].mean()
    assert pick(estimates, "clever", "quality", "domain-1").estimate == pytest.approx(in_domain)
    assert pick(estimates, "clever", "quality", "domain-1").tasks == 200


def test_every_strategy_has_every_metric_in_every_domain(estimates):
    metrics = {
        "quality", "cost_usd", "latency_s", "small_share", "retention", "retention_corrected", "cost_saving",
        "cost_saving_ceiling", "device_seconds_saved", "latency_reduction", "latency_reduction_p50",
        "gain_over_mixture", "gain_with_classifier", "pgr",
    }  # fmt: skip
    assert set(estimates["metric"]) == metrics
    # Overall, two domains, and the domains counted equally, of which there is no median.
    assert len(estimates) == 6 * (3 * len(metrics) + len(metrics) - 1)


def test_the_macro_average_counts_domains_equally_and_not_tasks(estimates):
    tasks = make_tasks(400)
    kept = tasks[(tasks["domain"] == "domain-0") | (np.arange(400) < 80)].reset_index(drop=True)
    decisions = make_decisions(tasks)
    matrix = strategy_matrix(decisions[decisions["task_id"].isin(kept["task_id"])], kept, pool())
    parts = resample(matrix, resamples=500, seed=0)
    found = summarise(parts, level=0.95)
    by_domain = [pick(found, "clever", "quality", f"domain-{number}").estimate for number in (0, 1)]
    macro = pick(found, "clever", "quality", "macro")
    assert macro.estimate == pytest.approx(np.mean(by_domain))
    assert macro.estimate != pytest.approx(pick(found, "clever", "quality").estimate, abs=1e-3)
    assert macro.tasks == len(kept) == 240
    # Two independent means: the variance of the half of their sum.
    errors = [parts[f"domain-{number}"].resampled.quality.std(axis=0) for number in (0, 1)]
    expected = np.sqrt(errors[0] ** 2 + errors[1] ** 2) / 2
    assert parts["macro"].resampled.quality.std(axis=0) == pytest.approx(expected, rel=0.1)


def test_intervals_hold_their_estimates(estimates):
    bounded = estimates.dropna(subset=["low", "high"])
    assert (bounded["low"] <= bounded["estimate"]).all() and (bounded["estimate"] <= bounded["high"]).all()
    assert len(bounded) > 100


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide(estimates):
    row = pick(estimates, "always_tiny", "quality")
    error = np.sqrt(row.estimate * (1 - row.estimate) / 400)
    assert (row.high - row.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.15)


def test_methods_are_named(estimates):
    assert pick(estimates, "clever", "quality").method == "BCa bootstrap"
    assert pick(estimates, "clever", "retention").method == "symmetric bootstrap-t of the logarithm"
    assert pick(estimates, "clever", "pgr").method == "Fieller"
    assert pick(estimates, "clever", "latency_reduction_p50").method == "percentile bootstrap"
    assert pick(estimates, "clever", "small_share").method.startswith("Wilson score")


def test_the_ceiling_of_the_saving_follows_from_the_small_share(estimates):
    share, ceiling = pick(estimates, "clever", "small_share"), pick(estimates, "clever", "cost_saving_ceiling")
    for end in ("estimate", "low", "high"):
        assert ceiling[end] == pytest.approx(1 / (1 - share[end]))


def test_equal_seeds_give_equal_tables_and_the_order_of_tasks_changes_nothing(estimates):
    tasks = make_tasks(400)
    shuffled = make_decisions(tasks).sample(frac=1, random_state=1)
    again = estimates_of(strategy_matrix(shuffled, tasks.sample(frac=1, random_state=2), pool()))
    pd.testing.assert_frame_equal(again, estimates, check_exact=True)
    other = estimates_of(strategy_matrix(shuffled, tasks, pool()), seed=1)
    assert not other["low"].equals(estimates["low"])


def test_tasks_copied_within_their_groups_leave_intervals_as_wide():
    tasks = make_tasks(100)
    copies = pd.DataFrame({"copy": ["/a", "/b", "/c"]})
    renamed, decisions = tasks.merge(copies, how="cross"), make_decisions(tasks).merge(copies, how="cross")
    for frame in (renamed, decisions):
        frame["task_id"] += frame.pop("copy")
    once = estimates_of(strategy_matrix(make_decisions(tasks), tasks, pool()))
    copied = estimates_of(strategy_matrix(decisions, renamed, pool()))
    for metric in ("quality", "gain_over_mixture", "pgr"):
        first, second = pick(once, "clever", metric), pick(copied, "clever", metric)
        assert (second.low, second.high) == pytest.approx((first.low, first.high), abs=1e-9)


def test_pgr_is_undetermined_where_the_pools_gap_may_be_nothing():
    quality = {
        "always_tiny": [1, 0, 1, 0, 1, 0], "always_mid": [1] * 6, "always_big": [0, 1, 1, 0, 1, 1],
        "guess": [0] * 6, "router": [1, 1, 1, 0, 1, 1],
    }  # fmt: skip
    row = pick(estimates_of(small_matrix(quality, COSTS)), "router", "pgr")
    assert np.isnan(row.estimate) and np.isnan(row.low)
    assert row.method == "undetermined: the interval of the pool's quality gap holds 0"


def test_a_domain_where_all_is_wrong_is_not_called_certain():
    quality = {name: [0] * 6 for name in COSTS}
    table = estimates_of(small_matrix(quality, COSTS))
    row = pick(table, "router", "quality")
    assert (row.estimate, row.low) == (0.0, 0.0) and row.high > 0.3
    assert row.method == "Wilson score, 6 groups all alike"
    assert (
        pick(table, "router", "retention").method
        == "undetermined: the interval of the most expensive model's quality holds 0"
    )


def test_a_free_strategy_says_why_it_has_no_saving(estimates):
    row = pick(estimates, "guess", "cost_saving")
    assert np.isnan(row.estimate) and row.method == "undefined: the strategy costs nothing"


def test_few_groups_come_with_a_warning():
    tasks = make_tasks(120)
    table = estimates_of(strategy_matrix(make_decisions(tasks), tasks, pool()))
    assert "fewer than 100 groups" in pick(table, "clever", "quality", "domain-0").method
    assert "fewer" not in pick(table, "clever", "quality").method


def test_a_strategy_that_always_answers_as_the_most_expensive_model_has_no_interval_of_its_pgr():
    quality = {
        "always_tiny": [0] * 6, "always_mid": [1] * 6, "always_big": [1, 1, 1, 0, 1, 1],
        "guess": [0] * 6, "router": [1, 1, 1, 0, 1, 1],
    }  # fmt: skip
    row = pick(estimates_of(small_matrix(quality, COSTS)), "router", "pgr")
    assert row.estimate == 1.0 and np.isnan(row.low)
    assert row.method == "no interval: the same in every resample"
