import numpy as np
import pytest

from slm_orchestration.statistics.bootstrap import Ratios, Studentised, absolute_pivots, standard_errors
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.resampling import Design, Draws

ONE_STRATUM = Design(np.arange(5), np.zeros(5, int))


def mean_of(*values, logarithmic=False) -> Ratios:
    column = np.array(values, float)[:, None]
    return Ratios(column, np.ones_like(column), logarithmic)


def made(ratios, design, resamples=500) -> Studentised:
    resampled = np.concatenate(
        [absolute_pivots(ratios, weights, design) for _, weights in Draws(design, resamples, 0).blocks()]
    )
    return Studentised(ratios.observed, standard_errors(ratios, design), resampled, ratios.logarithmic)


def test_the_standard_error_of_a_mean_is_the_textbooks_and_relative_for_a_logarithm():
    values = (1.0, 2.0, 3.0, 4.0, 10.0)
    error = np.std(values, ddof=1) / np.sqrt(5)
    assert standard_errors(mean_of(*values), ONE_STRATUM) == pytest.approx([error])
    assert standard_errors(mean_of(*values, logarithmic=True), ONE_STRATUM) == pytest.approx([error / 4])


def test_a_resample_is_measured_in_its_own_standard_error():
    # Four of five tasks are drawn, each of weight 5/4: 1, 1, 2, 4 has mean 2 and its error is sqrt(2 / 4).
    weights = np.array([[2], [1], [0], [1], [0]]) * 5 / 4
    assert absolute_pivots(mean_of(1, 2, 3, 4, 10), weights, ONE_STRATUM) == pytest.approx(abs(2 - 4) / np.sqrt(2 / 4))
    relative = np.sqrt(2 / 4) / 2
    found = absolute_pivots(mean_of(1, 2, 3, 4, 10, logarithmic=True), weights, ONE_STRATUM)
    assert found == pytest.approx(np.log(4 / 2) / relative)


def test_the_error_of_a_ratio_is_that_of_its_residuals_in_each_resample():
    rng = np.random.default_rng(0)
    design, above, below = Design(np.arange(40), np.arange(40) % 4), rng.lognormal(size=40), rng.lognormal(size=40)
    ratios = Ratios(above[:, None], below[:, None], logarithmic=False)
    _, weights = next(Draws(design, 3, 1).blocks())
    for resample, found in enumerate(absolute_pivots(ratios, weights, design)[:, 0]):
        w = weights[:, resample]
        ratio, variance = (w @ above) / (w @ below), 0.0
        for stratum in range(4):
            counts = (w * 9 / 10)[design.stratum == stratum].round().astype(int)
            resampled = np.repeat((above - ratio * below)[design.stratum == stratum], counts)
            variance += 10**2 / 9 * resampled.var(ddof=1)
        expected = abs(ratio - above.sum() / below.sum()) / (np.sqrt(variance) / (w @ below))
        assert found == pytest.approx(expected)


def test_a_resample_without_spread_of_its_own_strays_infinitely():
    weights = np.array([[4], [0], [0], [0], [0]]) * 5 / 4
    assert absolute_pivots(mean_of(1, 2, 3, 4, 10), weights, ONE_STRATUM)[0, 0] == np.inf


def test_small_strata_are_centred_at_the_samples_mean():
    design = Design(np.arange(4), np.array([0, 0, 1, 1]))
    weights = np.array([[2.0], [0.0], [2.0], [0.0]])
    # Each stratum's one draw, 1 from its mean, weighs 2: variance 2² + 2², over 4 tasks.
    assert absolute_pivots(mean_of(0, 2, 4, 6), weights, design) == pytest.approx(1 / (np.sqrt(8) / 4))


def test_equal_sides_have_no_interval():
    cost = np.random.default_rng(0).lognormal(size=(5, 1))
    same = made(Ratios(cost, cost, logarithmic=True), ONE_STRATUM)
    with pytest.raises(UndefinedStatistic, match="the same in every resample"):
        same.interval(0, level=0.95)


def test_where_resamples_lack_a_spread_there_is_no_interval():
    with pytest.raises(UndefinedStatistic, match="no variance of their own"):
        made(mean_of(0, 0, 0, 0, 1), ONE_STRATUM).interval(0, level=0.95)


def test_the_interval_of_many_tasks_is_students_and_its_p_agrees_with_it():
    values = np.random.default_rng(2).normal(0.2, 1, size=400)
    whole = made(mean_of(*values), Design(np.arange(400), np.zeros(400, int)), resamples=2000)
    low, high = whole.interval(0, level=0.95)
    error = values.std(ddof=1) / 20
    assert (low, high) == pytest.approx((values.mean() - 1.97 * error, values.mean() + 1.97 * error), abs=0.1 * error)
    assert (low > 0) == (whole.p_values()[0] <= 0.05)


def test_the_interval_of_a_positive_mean_stays_positive_and_scales_with_it():
    values = np.random.default_rng(3).lognormal(0, 1.5, size=20)
    design = Design(np.arange(20), np.zeros(20, int))
    low, high = made(mean_of(*values, logarithmic=True), design).interval(0, level=0.95)
    tenfold = made(mean_of(*(10 * values), logarithmic=True), design).interval(0, level=0.95)
    assert 0 < low < values.mean() < high
    assert tenfold == pytest.approx((10 * low, 10 * high))
