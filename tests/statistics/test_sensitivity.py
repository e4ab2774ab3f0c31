import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from slm_orchestration import tables
from slm_orchestration.statistics import sensitivity
from slm_orchestration.statistics.bootstrap import resample
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.sensitivity import rank_intervals, robustness, winner, with_datasets_as_units
from slm_orchestration.statistics.strategy_matrix import strategy_matrix
from tests.statistics.examples import make_decisions, make_tasks, pool


@pytest.fixture(scope="module")
def made():
    tasks = make_tasks(240)
    table = strategy_matrix(make_decisions(tasks), tasks, pool())
    return table, robustness(
        table, resample(table, resamples=200, seed=0), ranked=["chance", "clever"], seed=0, level=0.95
    )


def test_every_view_stands_in_the_table_for_every_strategy_that_differs(made):
    _, seen = made
    assert set(seen["view"]) == {"datasets_resampled", "mixed_model", "between_domains", "rank", "winner"}
    assert set(seen.loc[seen["view"] == "mixed_model", "strategy"]) == {
        "always_mid", "always_tiny", "chance", "clever", "guess"
    }  # fmt: skip
    assert list(seen.columns) == tables.ROBUSTNESS.names


def test_datasets_are_drawn_whole_and_counted(made):
    table, seen = made
    again = with_datasets_as_units(table).design()
    assert again.stratum.tolist() == [0, 0, 0, 0]
    rows = seen.query("view == 'datasets_resampled' and metric == 'quality'").set_index("strategy")
    assert (rows["units"] == 4).all()
    assert rows.loc["clever", "estimate"] == pytest.approx(table.values["quality"][:, table.column("clever")].mean())
    assert rows["method"].str.contains("fewer than 100 groups").all()


def test_the_mixed_models_effect_is_near_the_plain_difference(made):
    table, seen = made
    row = seen.query("view == 'mixed_model' and strategy == 'clever'").iloc[0]
    quality = table.values["quality"]
    plain = np.mean(quality[:, table.column("clever")] - quality[:, table.column("always_big")])
    assert row["estimate"] == pytest.approx(plain, abs=0.02)


def test_equal_seeds_give_equal_views(made):
    table, seen = made
    parts = resample(table, resamples=200, seed=0)
    again = robustness(table, parts, ranked=["chance", "clever"], seed=0, level=0.95)
    pd.testing.assert_frame_equal(again, seen, check_exact=True)


def test_one_competitor_has_no_rank_and_the_table_says_why():
    tasks = make_tasks(80)
    table = strategy_matrix(make_decisions(tasks), tasks, pool())
    seen = robustness(table, resample(table, resamples=100, seed=0), ranked=["clever"], seed=0, level=0.95)
    row = seen[seen["view"] == "rank"].iloc[0]
    assert np.isnan(row["estimate"]) and row["method"] == "undefined: ranks need at least 2 strategies, got 1"


def test_the_mixed_model_is_rs_analysis_of_variance_where_datasets_are_of_one_size(oracles):
    effect = sensitivity.mixed_effects(np.array(oracles["warpbreaks"]), np.repeat(np.arange(6), 9), level=0.95)
    mean, error = oracles["mixed_mean_and_error"]
    assert effect.estimate == pytest.approx(mean, rel=1e-6)
    assert (effect.high - effect.low) / (2 * stats.norm.ppf(0.975)) == pytest.approx(error, rel=1e-4)
    assert effect.p_value == pytest.approx(2 * stats.norm.sf(mean / error), rel=1e-2)
    assert effect.units == 6


@pytest.mark.filterwarnings("ignore")
def test_the_mixed_model_is_that_of_statsmodels_where_datasets_differ_in_size():
    rng = np.random.default_rng(3)
    dataset = np.repeat(np.arange(12), rng.integers(3, 40, 12))
    values = rng.standard_normal(12)[dataset] * 0.4 + rng.standard_normal(dataset.size) + 0.2
    fitted = MixedLM(values, np.ones((values.size, 1)), groups=dataset).fit(reml=True, method="bfgs", gtol=1e-9)
    effect = sensitivity.mixed_effects(values, dataset, level=0.95)
    assert effect.estimate == pytest.approx(fitted.fe_params[0], rel=1e-5)
    assert (effect.high - effect.low) / 2 / 1.959964 == pytest.approx(fitted.bse_fe[0], rel=5e-3)


def test_without_differences_between_datasets_the_mixed_model_is_the_paired_test():
    differences = np.tile([-1.0, 0.0, 1.0, 2.0, 0.0], 20)
    effect = sensitivity.mixed_effects(differences, np.arange(100) // 5, level=0.95)
    assert effect.estimate == pytest.approx(0.4)
    error = differences.std(ddof=1) / 10  # statsmodels stops a little short of the boundary
    assert effect.high - effect.estimate == pytest.approx(1.96 * error, rel=0.05)


def test_datasets_that_differ_make_the_interval_wider():
    rng = np.random.default_rng(0)
    dataset = np.repeat(np.arange(10), 30)
    alike, differing = rng.normal(size=300), rng.normal(size=300) + rng.normal(0, 1, size=10)[dataset]
    widths = [effect.high - effect.low for effect in (
        sensitivity.mixed_effects(values, dataset, level=0.95) for values in (alike, differing)
    )]  # fmt: skip
    assert widths[1] > 3 * widths[0]


def test_a_mixed_model_of_one_dataset_or_of_no_spread_is_refused():
    with pytest.raises(UndefinedStatistic, match="at least 2 datasets, got 1"):
        sensitivity.mixed_effects(np.arange(4.0), np.zeros(4, dtype=int), level=0.95)
    with pytest.raises(UndefinedStatistic, match="do not vary"):
        sensitivity.mixed_effects(np.full(4, 0.5), np.array([0, 0, 1, 1]), level=0.95)


def test_tau_and_i2_are_those_of_dersimonian_and_laird_in_r(oracles):
    found = sensitivity.between_domains(np.array(oracles["effects"]), np.array(oracles["variances"]))
    assert found == pytest.approx(tuple(oracles["tau_and_i2"]), rel=1e-10)


def test_domains_without_a_variance_are_left_out_and_two_must_remain():
    effects, variances = np.array([0.1, 0.3, 0.9]), np.array([0.01, 0.02, 0.0])
    assert sensitivity.between_domains(effects, variances) == sensitivity.between_domains(effects[:2], variances[:2])
    with pytest.raises(UndefinedStatistic, match="2 domains whose effect varies, got 1"):
        sensitivity.between_domains(effects[1:], variances[1:])


def test_the_permutation_over_domains_nears_the_share_of_all_orders():
    # Two domains of two tasks: of the 6 ways to deal out 0, 0, 1, 1 two separate the zeros from the ones.
    p = sensitivity.domain_permutation(
        np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([0, 0, 1, 1]), permutations=6000, seed=0
    )
    assert p[0] == pytest.approx(2 / 6, abs=0.02)


def test_the_permutation_over_domains_does_not_depend_on_the_order_of_tasks_and_repeats():
    rng = np.random.default_rng(0)
    values, domain, order = rng.normal(size=(60, 2)), rng.integers(0, 3, size=60), rng.permutation(60)
    first, again, shuffled = (
        sensitivity.domain_permutation(*both, permutations=999, seed=1)
        for both in ((values, domain), (values, domain), (values[order], domain[order]))
    )
    assert np.array_equal(first, again)
    assert np.allclose(first, shuffled, atol=0.06)


def test_differences_that_do_not_vary_have_no_p_over_domains():
    p = sensitivity.domain_permutation(np.ones((4, 1)), np.array([0, 0, 1, 1]), permutations=9, seed=0)
    assert np.isnan(p[0])


def test_the_interval_over_refits_is_nadeau_and_bengios(oracles):
    differences = np.subtract(oracles["after"], oracles["before"])
    effect = sensitivity.over_refits(differences, test_over_training=0.5, level=0.95)
    assert (effect.low, effect.high) == pytest.approx(tuple(oracles["refit_interval_half"]), rel=1e-10)
    with pytest.raises(UndefinedStatistic, match="at least 2 refits, got 1"):
        sensitivity.over_refits(np.array([1.0]), test_over_training=0.5, level=0.95)
    with pytest.raises(UndefinedStatistic, match="defined in every refit"):
        sensitivity.over_refits(np.array([1.0, np.nan]), test_over_training=0.5, level=0.95)


def test_groups_count_once_with_their_mean():
    means, codes = sensitivity.group_means(
        np.array([[1.0], [3.0], [5.0]]), np.array([0, 0, 1]), pd.Series(["b", "b", "a"])
    )
    assert means.tolist() == [[2.0], [5.0]] and codes.tolist() == [1, 0]


def around(*centres: float, spread: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    observed = np.array(centres)
    return observed, observed + np.random.default_rng(seed).normal(0, spread, size=(2000, observed.size))


def test_strategies_far_apart_have_certain_ranks():
    rank, best, worst = rank_intervals(*around(0.0, 100.0, 50.0), level=0.95)
    assert rank.tolist() == best.tolist() == worst.tolist() == [3, 1, 2]


def test_strategies_that_cannot_be_told_apart_share_their_ranks():
    _, best, worst = rank_intervals(*around(0.0, 0.1, 100.0), level=0.95)
    assert best.tolist() == [2, 2, 1] and worst.tolist() == [3, 3, 1]


def test_equal_strategies_have_equal_ranks():
    assert rank_intervals(*around(1.0, 1.0, 0.0), level=0.95)[0].tolist() == [1, 1, 3]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6), st.integers(0, 1000))
def test_a_rank_lies_within_its_interval_and_the_order_of_strategies_changes_nothing(centres, seed):
    observed, resampled = around(*centres, seed=seed)
    rank, best, worst = rank_intervals(observed, resampled, level=0.9)
    assert ((best <= rank) & (rank <= worst)).all()
    turned = rank_intervals(observed[::-1], resampled[:, ::-1], level=0.9)
    assert [part[::-1].tolist() for part in turned] == [rank.tolist(), best.tolist(), worst.tolist()]


def test_the_winner_of_equal_strategies_loses_its_luck():
    # The largest of ten standard normal draws is 1.54 on average.
    found = [winner(*around(*np.random.default_rng(seed).normal(size=10), seed=seed), level=0.95) for seed in range(40)]
    naive, corrected = (np.mean([getattr(one, name) for one in found]) for name in ("naive", "corrected"))
    assert naive == pytest.approx(1.54, abs=0.3)
    assert corrected < naive - 0.5
    assert all(one.low <= one.naive <= one.high for one in found)


def test_a_winner_far_ahead_owes_nothing_to_luck():
    found = winner(*around(0.0, 50.0), level=0.95)
    assert found.position == 1 and found.corrected == pytest.approx(50.0, abs=0.1)


def test_one_strategy_has_no_rank_and_an_undefined_estimate_none_either():
    with pytest.raises(UndefinedStatistic, match="at least 2 strategies, got 1"):
        rank_intervals(*around(1.0), level=0.95)
    with pytest.raises(ValueError, match="one finite estimate per strategy"):
        rank_intervals(np.array([1.0, np.nan]), np.zeros((5, 2)), level=0.95)
    with pytest.raises(UndefinedStatistic, match="the same in every resample"):
        rank_intervals(np.array([1.0, 2.0]), np.tile([1.0, 2.0], (5, 1)), level=0.95)


def test_overlapping_splits_widen_the_interval():
    values = np.array([0.0, 0.2])
    low, high = sensitivity.overlap_corrected(values, fitted=50, tested=50, level=0.95)
    # The variance 0.02 times (1/2 + 1), and Student's 12.706 at one degree of freedom.
    assert (high - low) / 2 == pytest.approx(12.7062 * np.sqrt(0.02 * 1.5), rel=1e-4)
    with pytest.raises(ValueError, match="at least 2"):
        sensitivity.overlap_corrected(values[:1], fitted=50, tested=50, level=0.95)
