import numpy as np
import pytest
from scipy import optimize, stats

from slm_orchestration.statistics import intervals
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.resampling import Design


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
