import numpy as np
import pytest
from scipy import optimize, stats

from slm_orchestration.statistics import intervals
from slm_orchestration.statistics.intervals import UndefinedStatistic, simultaneous_band, threshold_bands
from slm_orchestration.statistics.resampling import Design, Draws


def one_stratum(count: int) -> Design:
    return Design(np.arange(count), np.zeros(count, dtype=int))


def left_out_means(values):
    return (values.sum() - values) / (values.size - 1)


def test_bca_is_scipys_on_the_same_resamples():
    values = np.random.default_rng(1).lognormal(size=60)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(2))
    influence = intervals.jackknife_influence(left_out_means(values), one_stratum(60))
    low, high = intervals.bca(theirs.bootstrap_distribution, values.mean(), influence, level=0.95)
    assert low == pytest.approx(theirs.confidence_interval.low, rel=1e-12)
    assert high == pytest.approx(theirs.confidence_interval.high, rel=1e-12)


def test_bca_without_bias_and_skew_is_the_percentile_interval():
    resampled = np.linspace(-1, 1, 2001)
    influence = np.array([-1.0, 1.0, -1.0, 1.0])
    assert intervals.bca(resampled, 0.0, influence, level=0.9) == pytest.approx((-0.9, 0.9))
    assert intervals.percentile(resampled, level=0.9) == pytest.approx((-0.9, 0.9))


def test_influence_squares_sum_to_the_variance_of_the_mean():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    influence = intervals.jackknife_influence(left_out_means(values), one_stratum(4))
    assert np.sum(influence**2) == pytest.approx(values.var() / 4)


def test_fieller_holds_the_ratios_that_a_t_test_does_not_reject():
    rng = np.random.default_rng(0)
    above, below = rng.normal(3, 2, size=25), rng.normal(2, 1, size=25)
    covariance = np.cov(above, below) / 25
    low, high = intervals.fieller(above.mean(), below.mean(), covariance, degrees=24, level=0.95)

    def excess(ratio):
        return abs(stats.ttest_1samp(above - ratio * below, 0).statistic) - stats.t.ppf(0.975, 24)

    centre = above.mean() / below.mean()
    assert low == pytest.approx(optimize.brentq(excess, centre - 5, centre))
    assert high == pytest.approx(optimize.brentq(excess, centre, centre + 5))


def test_fieller_of_a_certain_denominator_is_students_interval():
    low, high = intervals.fieller(6.0, 2.0, np.array([[1.0, 0.0], [0.0, 0.0]]), degrees=10, level=0.95)
    half = stats.t.ppf(0.975, 10) / 2
    assert (low, high) == pytest.approx((3 - half, 3 + half))


def test_a_ratio_over_nearly_nothing_is_refused():
    with pytest.raises(UndefinedStatistic, match="the interval of the denominator holds 0"):
        intervals.fieller(1.0, 0.1, np.eye(2) * 0.01, degrees=50, level=0.95)


def test_wilson_is_rs(oracles):
    assert intervals.wilson(7 / 20, 20, level=0.95) == pytest.approx(tuple(oracles["wilson_7_of_20"]), rel=1e-12)
    assert intervals.wilson(0.0, 10, level=0.95) == pytest.approx(tuple(oracles["wilson_0_of_10"]), rel=1e-12)


def test_wilson_at_the_ends_holds_the_share():
    assert intervals.wilson(0.0, 3, level=0.95)[0] == 0.0
    assert intervals.wilson(1.0, 3, level=0.95)[1] == 1.0


def test_what_does_not_vary_has_no_interval():
    with pytest.raises(UndefinedStatistic, match="the same in every resample"):
        intervals.percentile(np.full(100, 0.1 + 0.2), level=0.95)


def test_an_undefined_resample_is_counted_not_dropped():
    with pytest.raises(UndefinedStatistic, match="undefined in 1 of 3 resamples"):
        intervals.percentile(np.array([1.0, np.nan, 2.0]), level=0.95)


def test_one_resample_is_not_enough():
    with pytest.raises(UndefinedStatistic, match="at least 2 resamples, got 1"):
        intervals.percentile(np.array([1.0]), level=0.95)


def test_bca_refuses_when_all_resamples_lie_on_one_side():
    with pytest.raises(UndefinedStatistic, match="one side"):
        intervals.bca(np.array([1.0, 2.0, 3.0]), 0.0, np.array([1.0, -1.0]), level=0.95)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_is_a_share(level):
    with pytest.raises(ValueError, match="a level lies between 0 and 1"):
        intervals.wilson(0.5, 10, level=level)


def test_the_band_of_one_point_is_the_interval_of_its_resamples():
    resampled = np.random.default_rng(0).normal(3, 2, size=(20_000, 1))
    low, high = simultaneous_band(np.array([3.0]), resampled, level=0.95)
    assert (low[0], high[0]) == pytest.approx((3 - 1.96 * 2, 3 + 1.96 * 2), rel=0.03)


def test_the_band_of_independent_points_is_as_wide_as_sidaks():
    resampled = np.random.default_rng(0).normal(size=(20_000, 10))
    low, high = simultaneous_band(np.zeros(10), resampled, level=0.95)
    sidak = stats.norm.ppf((1 + 0.95 ** (1 / 10)) / 2)
    assert np.allclose(high, sidak, rtol=0.03) and np.allclose(low, -high)


def test_points_that_move_together_need_no_wider_band():
    resampled = np.repeat(np.random.default_rng(0).normal(size=(5000, 1)), 10, axis=1)
    alone = simultaneous_band(np.zeros(1), resampled[:, :1], level=0.9)
    together = simultaneous_band(np.zeros(10), resampled, level=0.9)
    assert np.allclose(together[1], alone[1])


def test_a_point_that_never_varies_has_no_width_and_a_curve_that_never_does_is_refused():
    resampled = np.column_stack([np.full(100, 0.3), np.random.default_rng(0).normal(size=100)])
    low, high = simultaneous_band(np.array([0.3, 0.0]), resampled, level=0.95)
    assert (low[0], high[0]) == (0.3, 0.3) and high[1] > low[1]
    with pytest.raises(UndefinedStatistic, match="the same in every resample"):
        simultaneous_band(np.array([0.3]), resampled[:, :1], level=0.95)


@pytest.mark.parametrize(
    ("resampled", "says"),
    [([[np.nan], [1.0]], "undefined in 1 of 2 resamples"), ([[1.0]], "at least 2 resamples, got 1")],
)
def test_a_band_refuses_what_it_cannot_use(resampled, says):
    with pytest.raises(UndefinedStatistic, match=says):
        simultaneous_band(np.array([0.0]), np.array(resampled), level=0.95)


def test_thresholds_have_bands_of_quality_and_retention_around_their_means():
    rng = np.random.default_rng(0)
    most_expensive = (rng.random(60) < 0.7).astype(float)
    curve = np.column_stack([most_expensive, (rng.random(60) < 0.5).astype(float)])
    draws = Draws(Design(np.arange(60), np.zeros(60, dtype=int)), 500, seed=0)
    found = threshold_bands({"router": curve}, most_expensive, draws, level=0.95).set_index(["metric", "point"])
    assert found.loc[("quality", 1), "estimate"] == pytest.approx(curve[:, 1].mean())
    assert found.loc[("retention", 1), "estimate"] == pytest.approx(curve[:, 1].mean() / most_expensive.mean())
    # At the first threshold the router is the most expensive model: a retention of 1, for certain.
    assert found.loc[("retention", 0), ["low", "high"]].tolist() == [1.0, 1.0]
    assert found.loc[("quality", 0), "high"] > found.loc[("quality", 0), "estimate"]
