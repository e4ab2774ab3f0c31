import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_orchestration.statistics import curves
from slm_orchestration.statistics.curves import CostCurve, area_over_cost, pair_curve, resample_measures
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.resampling import Design

# Four tasks: the cheap model is right on the first, the expensive one on all but the last; scores know it.
SCORE = np.array([0.1, 0.9, 0.8, 0.2])
CHEAP = np.array([1.0, 0.0, 0.0, 0.0])
EXPENSIVE = np.array([1.0, 1.0, 1.0, 0.0])
ONE_STRATUM = Design(np.arange(30), np.zeros(30, dtype=np.int64))


def test_the_deferral_curve_visits_every_breakpoint():
    share, quality = curves.deferral_curve(SCORE, CHEAP, EXPENSIVE)
    assert share.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert quality.tolist() == [0.25, 0.5, 0.75, 0.75, 0.75]


def test_ties_go_together():
    share, quality = curves.deferral_curve(np.array([0.5, 0.5, 0.5, 0.1]), CHEAP, EXPENSIVE)
    assert share.tolist() == [0.0, 0.75, 1.0]
    assert quality.tolist() == [0.25, 0.75, 0.75]


def test_apgr_adds_up():
    # PGR is 0, .5, 1, 1, 1: four trapezoids of .0625, .1875, .25, .25.
    assert curves.apgr(*curves.deferral_curve(SCORE, CHEAP, EXPENSIVE)) == pytest.approx(0.75)


def test_a_router_that_knows_nothing_has_an_apgr_of_one_half():
    curve = curves.deferral_curve(np.zeros(4), CHEAP, EXPENSIVE)
    assert curves.apgr(*curve) == pytest.approx(0.5)
    assert curves.apgr_of_ten(*curve) == pytest.approx(0.5)


def test_ten_shares_average_the_interpolated_pgrs():
    # PGR at k/9 of the calls is 2k/9 up to k = 4, and 1 from k = 5 on.
    expected = (sum(2 * k / 9 for k in range(5)) + 5) / 10
    assert curves.apgr_of_ten(*curves.deferral_curve(SCORE, CHEAP, EXPENSIVE)) == pytest.approx(expected)


def test_the_quantile_version_is_the_published_codes():
    # With two bins the edges are .1, .5 and .9: all, two and no calls, PGR 1, 1 and 0.
    assert curves.apgr_of_quantiles(SCORE, CHEAP, EXPENSIVE, bins=2) == pytest.approx(0.75)


def test_cpt_is_the_first_crossing():
    curve = curves.deferral_curve(SCORE, CHEAP, EXPENSIVE)
    assert curves.cpt(*curve, 0.5) == pytest.approx(0.25)
    assert curves.cpt(*curve, 0.8) == pytest.approx(0.25 + 0.25 * 0.3 / 0.5)
    assert curves.cpt_interpolated(*curve, 0.5) == pytest.approx(0.25)


def test_cpt_is_the_first_crossing_also_where_quality_falls_afterwards():
    share, quality = np.linspace(0, 1, 5), np.array([0.0, 0.6, 0.2, 0.4, 1.0])
    assert curves.cpt(share, quality, 0.5) == pytest.approx(0.25 * 0.5 / 0.6)


def test_models_that_are_equally_good_leave_no_gap():
    with pytest.raises(UndefinedStatistic, match="no gap in quality"):
        curves.apgr(*curves.deferral_curve(SCORE, CHEAP, CHEAP))


def test_a_curve_that_stops_halfway_has_no_apgr():
    with pytest.raises(UndefinedStatistic, match="from no call"):
        curves.apgr(np.array([0.0, 0.5]), np.array([0.1, 0.4]))


def test_the_hull_drops_what_mixing_beats():
    cost, quality = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.2, 0.3, 0.8, 0.7])
    assert curves.upper_hull(cost, quality) == [0, 2]


def test_aiq_adds_up():
    # From 1 to 3 the mean quality is .5, from 3 to 5 it is .8: (1 + 1.6) / 5.
    assert curves.aiq(np.array([1.0, 3.0]), np.array([0.2, 0.8]), largest_cost=5.0) == pytest.approx(0.52)


def test_routing_auc_fills_the_left_and_cuts_the_right():
    cost, quality = np.array([2.0, 4.0]), np.array([0.6, 0.8])
    # From (1, .2): .4 over 1, then .65 over the 1 from 2 to 3, where the curve is cut at .7.
    auc = curves.routing_auc(cost, quality, costs=(1.0, 3.0), lowest_quality=0.2)
    assert auc == pytest.approx((0.4 + 0.65) / 2)
    flat = curves.routing_auc(cost, quality, costs=(2.0, 6.0), lowest_quality=0.2)
    assert flat == pytest.approx((2 * 0.7 + 2 * 0.8) / 4)


def test_the_arena_score_is_between_cost_and_accuracy():
    # Half of the log range: thrift .5, accuracy .8: 1.1 · .4 / .58.
    middle = np.sqrt(0.0044 * 200) / 1000
    assert curves.arena_score(0.8, middle) == pytest.approx(1.1 * 0.4 / 0.58)
    assert curves.arena_score(1.0, 0.0044 / 1000) == pytest.approx(1.0)
    assert curves.arena_score(1.0, 0.2) == 0.0
    with pytest.raises(UndefinedStatistic, match="300 USD per 1,000 tasks lies outside"):
        curves.arena_score(0.8, 0.3)


def test_ibc_lift_compares_slopes():
    # Half of the gap for a quarter of the extra cost: twice the slope.
    assert curves.ibc_lift((0.5, 2.0), (0.2, 1.0), (0.8, 5.0)) == pytest.approx(1.0)
    with pytest.raises(UndefinedStatistic, match="equally good"):
        curves.ibc_lift((0.5, 2.0), (0.2, 1.0), (0.2, 5.0))


def test_the_quality_neutral_cost_is_the_cheapest_point_that_is_good_enough():
    cost, quality = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.7, 0.8])
    assert curves.qnc(cost, quality, best_quality=0.7, best_cost=4.0) == 0.5
    with pytest.raises(UndefinedStatistic, match="no point"):
        curves.qnc(cost, quality, best_quality=0.9, best_cost=4.0)


@given(st.integers(0, 10_000), st.integers(4, 40))
def test_scores_matter_only_by_their_order(seed, count):
    rng = np.random.default_rng(seed)
    score, cheap = rng.integers(0, 6, size=count) / 6, rng.integers(0, 2, size=count).astype(float)
    expensive = np.append(1.0 - cheap[:1], np.ones(count - 1))
    if cheap.mean() == expensive.mean():
        return
    first = curves.apgr(*curves.deferral_curve(score, cheap, expensive))
    order = rng.permutation(count)
    second = curves.apgr(*curves.deferral_curve(3 + score[order] ** 3, cheap[order], expensive[order]))
    assert second == pytest.approx(first)


def _pair(seed: int, *, levels: int):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels, 30) / levels
    cheap, expensive = rng.integers(0, 2, 30).astype(float), np.append(1.0, rng.integers(0, 2, 29))
    return score, np.append(0.0, cheap[1:]), expensive


@pytest.mark.parametrize("levels", [4, 1_000_000])
@pytest.mark.parametrize("seed", range(6))
def test_whole_weights_are_repeated_tasks(seed, levels):
    score, cheap, expensive = _pair(seed, levels=levels)
    times = np.random.default_rng(seed).integers(0, 4, 30)
    repeated = curves.deferral_curve(*(np.repeat(values, times) for values in (score, cheap, expensive)))
    if repeated[1][0] == repeated[1][-1]:
        pytest.skip("no gap")
    found = pair_curve(score, cheap, expensive).measures(times[None].astype(float))[0]
    assert found[0] == pytest.approx(curves.apgr(*repeated))
    assert found[1] == pytest.approx(curves.cpt(*repeated, 0.5))
    assert found[2] == pytest.approx(curves.cpt(*repeated, 0.8))


def test_a_resample_without_a_gap_has_no_apgr():
    score, cheap, _ = _pair(0, levels=4)
    assert np.isnan(pair_curve(score, cheap, cheap).measures(np.ones((1, 30)))).all()


def test_block_size_changes_no_resample_and_the_seed_does(monkeypatch):
    curve = pair_curve(*_pair(0, levels=50))
    one, other = (resample_measures(curve.measures, ONE_STRATUM, resamples=600, seed=seed) for seed in (1, 2))
    monkeypatch.setattr(curves, "_BLOCK_CELLS", 1)
    assert resample_measures(curve.measures, ONE_STRATUM, resamples=600, seed=1).tobytes() == one.tobytes()
    assert not np.array_equal(one, other)


def test_a_gap_below_nothing_is_recovered_alike():
    score, cheap, expensive = _pair(1, levels=50)
    one, other = (
        pair_curve(score, *pair).measures(np.ones((1, 30))) for pair in ((cheap, expensive), (-cheap, -expensive))
    )
    assert one == pytest.approx(other)


def test_weights_are_drawn_within_strata_by_group_and_sum_as_they_should():
    # strata of 3 and 2 groups, of which 2 and 1 are drawn; the second stratum's first group holds two tasks
    design = Design(np.array([0, 1, 2, 3, 3, 4]), np.array([0, 0, 0, 1, 1]))
    weights = resample_measures(lambda weights: weights, design, resamples=4000, seed=0)
    assert weights[:, :3].sum(axis=1) == pytest.approx(np.full(4000, 3.0))
    assert (weights[:, 3] == weights[:, 4]).all()
    assert set(np.unique(weights[:, 5])) == {0.0, 2.0}
    assert weights.mean(axis=0) == pytest.approx(np.ones(6), abs=0.05)
    # the rescaled bootstrap's variance of a weight is that of the unbiased one: 1 - 1/n times n/(n-1)
    assert weights[:, 0].var() == pytest.approx(1.0, abs=0.08)


def test_the_spread_of_resampled_apgr_is_that_of_new_tasks():
    rng = np.random.default_rng(0)

    def sample(tasks):
        score = rng.random(tasks)
        return score, (rng.random(tasks) < 0.6 - 0.4 * score).astype(float), (rng.random(tasks) < 0.8).astype(float)

    fresh = [curves.apgr(*curves.deferral_curve(*sample(400))) for _ in range(300)]
    design = Design(np.arange(400), np.zeros(400, dtype=np.int64))
    resampled = [
        resample_measures(pair_curve(*sample(400)).measures, design, resamples=200, seed=seed)[:, 0].std()
        for seed in range(10)
    ]
    assert np.mean(resampled) == pytest.approx(np.std(fresh), rel=0.2)


def _cost_curve() -> CostCurve:
    # two tasks: (quality, cost, expensive calls) of (1, 10, 1) each; the first goes cheap (1, 1, 0) at .1, the second
    # (0, 1, 0) at .5
    return CostCurve(
        start=np.array([[1.0, 10, 1], [1, 10, 1]]),
        task=np.array([0, 1]),
        added=np.array([[0.0, -9, -1], [-1, -9, -1]]),
        last=np.array([0, 1]),
        cheapest=np.array([[1.0, 1], [0, 1]]),
        most_expensive=np.array([[1.0, 10], [1, 10]]),
        lowest=np.array([1.0, 0]),
    )


def test_a_curve_over_cost_adds_up():
    # points (10, 1), (5.5, 1), (1, .5): PGR 1, 1, 0; area over cost .5 + .25, half of the calls recover all
    apgr, half, most, auc = _cost_curve().measures(np.ones((1, 2)))[0]
    assert apgr == pytest.approx(0.75)
    assert (half, most) == (0.5, 0.5)
    assert auc == pytest.approx(0.5 * 1 + 0.5 * 0.75)


def test_the_area_is_the_published_metrics_where_cost_falls():
    rng = np.random.default_rng(0)
    for _ in range(20):
        cost, quality = np.sort(rng.random(9) * 4)[::-1], rng.random(9)
        low, high, lowest = 0.5, 3.0, 0.1
        area, left = area_over_cost(cost[None], quality[None], np.array([low]), np.array([high]))
        if not (low < cost[-1] < high):
            continue
        expected = curves.routing_auc(cost, quality, costs=(low, high), lowest_quality=lowest)
        assert ((area + left * (lowest + quality[-1]) / 2) / (high - low)).item() == pytest.approx(expected)
