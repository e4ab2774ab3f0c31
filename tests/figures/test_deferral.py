import pytest

from slm_orchestration.figures.deferral import deferral
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import fits, plotted


def test_a_deferral_curve_runs_over_the_share_that_is_escalated():
    axes = deferral(by_hand.curves(), by_hand.estimates(), by_hand.operating_points()).axes[0]
    assert plotted(axes, "curve:adaptive") == [pytest.approx(point) for point in [(0.0, 0.4), (0.4, 0.7), (1.0, 0.8)]]
    assert plotted(axes, "point:adaptive") == [pytest.approx((0.4, 0.7))]
    assert plotted(axes, "random") == [(0.0, 0.4), (1.0, 0.8)]


def test_nothing_is_cut_off_at_the_edge():
    assert fits(deferral(by_hand.curves(), by_hand.estimates(), by_hand.operating_points()))
