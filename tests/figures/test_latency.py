import pandas as pd
import pytest

from slm_orchestration.figures.latency import latency_ecdf, quantiles
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import fits, plotted


def test_the_latency_line_rises_by_a_task_at_a_time_to_all_of_them():
    axes = latency_ecdf(by_hand.served(), by_hand.estimates()).axes[0]
    line = plotted(axes, "latency:adaptive")
    assert line[0] == pytest.approx((0.55, 0.1))
    assert line[-1] == pytest.approx((1.45, 1.0))
    assert plotted(axes, "quantiles:adaptive") == [pytest.approx(p) for p in [(0.95, 0.5), (1.45, 0.95), (1.45, 0.99)]]


def test_a_quantile_is_a_latency_that_was_recorded():
    assert quantiles(pd.Series([3.0, 1.0, 2.0, 4.0])) == [2.0, 4.0, 4.0]


def test_nothing_is_cut_off_at_the_edge():
    assert fits(latency_ecdf(by_hand.served(), by_hand.estimates()))
