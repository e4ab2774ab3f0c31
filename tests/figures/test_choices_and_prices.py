"""The figures that need decisions or outcomes beside the estimates: what is drawn is what the tables hold."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from slm_orchestration.figures import style
from slm_orchestration.figures.agreement import agreement, better
from slm_orchestration.figures.cost_of_error import cost_of_error, relative_total
from slm_orchestration.figures.deferral import deferral
from slm_orchestration.figures.latency import latency_ecdf, quantiles
from slm_orchestration.figures.price_ratio import price_ratio, savings
from slm_orchestration.figures.reliability import reliability_diagrams
from tests.figures import tables_by_hand as by_hand

ESTIMATES, CURVES, POINTS = by_hand.estimates(), by_hand.curves(), by_hand.operating_points()
SERVED = by_hand.decisions().merge(POINTS[["strategy", "threshold"]], on=["strategy", "threshold"])


def outcomes() -> pd.DataFrame:
    """Ten tasks; small is right on 0-3, large on 2-9; large costs four times as much."""
    rows = [
        {"task_id": f"task/{n}", "model": model, "repeat": 0, "cost_usd": cost, "quality": float(n in right)}
        | {"confidence": 0.85 if n in right else 0.25}
        for model, cost, right in (("small", 1e-6, range(4)), ("large", 4e-6, range(2, 10)))
        for n in range(10)
    ]
    return pd.DataFrame(rows)


def plotted(axes: Axes, label: str) -> list[tuple[float, float]]:
    line = next(line for line in axes.get_lines() if line.get_label() == label)
    return [(float(x), float(y)) for x, y in line.get_xydata()]


def test_a_deferral_curve_runs_over_the_share_that_is_escalated():
    axes = deferral(CURVES, ESTIMATES, POINTS).axes[0]
    assert plotted(axes, "curve:adaptive") == [pytest.approx(point) for point in [(0.0, 0.4), (0.4, 0.7), (1.0, 0.8)]]
    assert plotted(axes, "point:adaptive") == [pytest.approx((0.4, 0.7))]
    assert plotted(axes, "random") == [(0.0, 0.4), (1.0, 0.8)]


def test_the_latency_line_rises_by_a_task_at_a_time_to_all_of_them():
    axes = latency_ecdf(SERVED, ESTIMATES).axes[0]
    line = plotted(axes, "latency:adaptive")
    assert line[0] == pytest.approx((0.55, 0.1))
    assert line[-1] == pytest.approx((1.45, 1.0))
    assert plotted(axes, "quantiles:adaptive") == [pytest.approx(p) for p in [(0.95, 0.5), (1.45, 0.95), (1.45, 0.99)]]


def test_a_quantile_is_a_latency_that_was_recorded():
    assert quantiles(pd.Series([3.0, 1.0, 2.0, 4.0])) == [2.0, 4.0, 4.0]


def test_a_saving_at_the_recorded_ratio_is_that_of_the_recorded_costs():
    called = [["small"]] * 6 + [["large"]] * 4
    rows = [
        {"task_id": f"task/{n}", "models_called": called[n], "cost_usd": 1e-6 if n < 6 else 4e-6} for n in range(10)
    ]
    saved = savings(pd.DataFrame(rows), outcomes(), ["small", "large"], np.array([1.0, 4.0, 10.0]))
    # 40 large calls' worth over 6 small and 4 large ones: at 1:1, at 4:1 and at 10:1.
    assert saved == pytest.approx([10 / 10, 40 / 22, 100 / 46])


def test_a_cascade_at_another_ratio_pays_both_calls_and_its_own_router():
    rows = [{"task_id": "task/0", "models_called": ["small", "large"], "cost_usd": 6e-6}]
    saved = savings(pd.DataFrame(rows), outcomes(), ["small", "large"], np.array([4.0, 8.0]))
    assert saved == pytest.approx([4 / (1 + 4 + 1), 8 / (1 + 8 + 1)])


def test_the_ratio_as_recorded_is_marked():
    axes = price_ratio(SERVED, outcomes(), ESTIMATES).axes[0]
    assert plotted(axes, "recorded ratio")[0][0] == pytest.approx(4.0)


def test_the_total_cost_is_that_of_calls_at_first_and_of_errors_at_last():
    prices = np.array([0.0, 1.0, 1e9])
    # Half the cost and three wrong in ten, beside two wrong in ten.
    assert relative_total((2.0, 0.7), (4.0, 0.8), prices) == pytest.approx([0.5, 0.8 / 1.2, 1.5])
    axes = cost_of_error(ESTIMATES).axes[0]
    first, last = (plotted(axes, "total:adaptive")[place] for place in (0, -1))
    assert first == pytest.approx((0.1, (0.5 + 0.03) / (1 + 0.02)))
    assert last == pytest.approx((1000.0, (0.5 + 300) / (1 + 200)))


def test_reliability_shows_each_models_bins_with_their_intervals():
    figure = reliability_diagrams(outcomes(), level=0.95)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["small", "large"]
    points = figure.axes[0].collections[0].get_offsets()
    assert np.asarray(points).tolist() == [pytest.approx([0.25, 0.0]), pytest.approx([0.85, 1.0])]
    # Off by 0.25 on six tasks and by 0.15 on four.
    assert "calibration error 0.21" in figure.axes[0].texts[0].get_text()


def test_models_complement_each_other_where_only_one_is_right():
    shares = better(outcomes(), ["small", "large"])
    assert shares.to_numpy() == pytest.approx(np.array([[0.4, 0.2], [0.6, 0.8]]))
    texts = [text.get_text() for text in agreement(outcomes(), ["small", "large"]).axes[0].texts]
    assert texts == ["40 %", "20 %", "60 %", "80 %"]


@pytest.mark.parametrize("name", ["deferral", "latency", "prices", "errors", "reliability", "agreement"])
def test_nothing_is_cut_off_at_the_edge(name: str):
    figure = {
        "deferral": lambda: deferral(CURVES, ESTIMATES, POINTS),
        "latency": lambda: latency_ecdf(SERVED, ESTIMATES),
        "prices": lambda: price_ratio(SERVED, outcomes(), ESTIMATES),
        "errors": lambda: cost_of_error(ESTIMATES),
        "reliability": lambda: reliability_diagrams(outcomes(), level=0.95),
        "agreement": lambda: agreement(outcomes(), ["small", "large"]),
    }[name]()
    with style.look():
        figure.draw_without_rendering()
        drawn = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= -0.01
    assert drawn.x1 <= width + 0.01
    assert drawn.y1 <= height + 0.01
