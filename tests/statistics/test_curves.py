import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_orchestration.statistics import curves
from slm_orchestration.statistics.intervals import UndefinedStatistic

# Four tasks: the cheap model is right on the first, the dear one on all but the last; scores know it.
SCORE = np.array([0.1, 0.9, 0.8, 0.2])
CHEAP = np.array([1.0, 0.0, 0.0, 0.0])
DEAR = np.array([1.0, 1.0, 1.0, 0.0])


def test_the_deferral_curve_visits_every_breakpoint():
    share, quality = curves.deferral_curve(SCORE, CHEAP, DEAR)
    assert share.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert quality.tolist() == [0.25, 0.5, 0.75, 0.75, 0.75]


def test_ties_go_together():
    share, quality = curves.deferral_curve(np.array([0.5, 0.5, 0.5, 0.1]), CHEAP, DEAR)
    assert share.tolist() == [0.0, 0.75, 1.0]
    assert quality.tolist() == [0.25, 0.75, 0.75]


def test_apgr_adds_up():
    # PGR is 0, .5, 1, 1, 1: four trapezoids of .0625, .1875, .25, .25.
    assert curves.apgr(*curves.deferral_curve(SCORE, CHEAP, DEAR)) == pytest.approx(0.75)


def test_a_router_that_knows_nothing_has_an_apgr_of_one_half():
    curve = curves.deferral_curve(np.zeros(4), CHEAP, DEAR)
    assert curves.apgr(*curve) == pytest.approx(0.5)
    assert curves.apgr_of_ten(*curve) == pytest.approx(0.5)


def test_ten_shares_average_the_interpolated_pgrs():
    # PGR at k/9 of the calls is 2k/9 up to k = 4, and 1 from k = 5 on.
    expected = (sum(2 * k / 9 for k in range(5)) + 5) / 10
    assert curves.apgr_of_ten(*curves.deferral_curve(SCORE, CHEAP, DEAR)) == pytest.approx(expected)


def test_the_quantile_version_is_the_published_codes():
    # With two bins the edges are .1, .5 and .9: all, two and no calls, PGR 1, 1 and 0.
    assert curves.apgr_of_quantiles(SCORE, CHEAP, DEAR, bins=2) == pytest.approx(0.75)


def test_cpt_is_the_first_crossing():
    curve = curves.deferral_curve(SCORE, CHEAP, DEAR)
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
    x, y = curves.upper_hull(cost, quality)
    assert x.tolist() == [1.0, 3.0] and y.tolist() == [0.2, 0.8]


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
    with pytest.raises(UndefinedStatistic, match="no better"):
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
    dear = np.append(1.0 - cheap[:1], np.ones(count - 1))
    if cheap.mean() == dear.mean():
        return
    first = curves.apgr(*curves.deferral_curve(score, cheap, dear))
    order = rng.permutation(count)
    second = curves.apgr(*curves.deferral_curve(3 + score[order] ** 3, cheap[order], dear[order]))
    assert second == pytest.approx(first)
