import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import style
from slm_orchestration.figures.cost_quality import cost_quality, cost_quality_panels
from slm_orchestration.figures.domain_heatmap import domain_heatmap
from slm_orchestration.figures.forest import forest
from slm_orchestration.figures.threshold_sweep import relative, threshold_sweep
from tests.figures import tables_by_hand as by_hand


def plotted(axes: Axes, label: str) -> list[tuple[float, float]]:
    line = next(line for line in axes.get_lines() if line.get_label() == label)
    return [(float(x), float(y)) for x, y in line.get_xydata()]


def errorbar(axes: Axes, label: str) -> list[tuple[float, float]]:
    container = next(container for container in axes.containers if container.get_label() == label)
    return [(float(x), float(y)) for x, y in container.lines[0].get_xydata()]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def boxes(figure: Figure, texts: list) -> list:
    figure.draw_without_rendering()
    return [text.get_window_extent() for text in texts if text.get_text()]


def test_the_plane_shows_each_operating_point_where_the_table_has_it():
    axes = cost_quality(by_hand.curves(), by_hand.estimates(), by_hand.HULL).axes[0]
    assert errorbar(axes, "point:adaptive") == [pytest.approx((2.0, 0.7))]
    assert errorbar(axes, "point:confidence") == [pytest.approx((3.0, 0.5))]
    assert plotted(axes, "point:oracle") == [pytest.approx((2.0, 0.9))]
    assert axes.get_xlabel() == "Mean cost per million tasks (USD)"


def test_of_many_strategies_the_best_are_named_and_the_others_are_dots_where_the_table_has_them():
    rest = by_hand.estimates([name for name in by_hand.STRATEGIES if name != "confidence"])
    confidence = by_hand.estimates(["confidence"])
    many = [confidence.assign(strategy=f"router {number}") for number in range(9)]
    axes = cost_quality(by_hand.curves(), pd.concat([rest, *many], ignore_index=True), by_hand.HULL).axes[0]
    written = [text.get_text() for text in axes.texts]
    assert "adaptive" in written and "router 0" in written and "router 8" not in written
    assert plotted(axes, "point:router 8") == [pytest.approx((3.0, 0.5))]
    assert axes.get_xlabel().endswith("(grey dots: 5 strategies of smaller gain)")


def test_the_arms_of_a_cross_end_where_the_intervals_end():
    axes = cost_quality(by_hand.curves(), by_hand.estimates(), by_hand.HULL).axes[0]
    container = next(container for container in axes.containers if container.get_label() == "point:adaptive")
    across, along = (collection.get_segments()[0] for collection in container.lines[2])
    assert across[:, 0].tolist() == pytest.approx([1.8, 2.2])
    assert along[:, 1].tolist() == pytest.approx([0.63, 0.77])


def test_the_mixture_starts_at_guess_and_is_flat_beyond_its_dearest_model():
    axes = cost_quality(by_hand.curves(), by_hand.estimates(), by_hand.HULL).axes[0]
    line = plotted(axes, "mixture")
    assert line[:3] == [pytest.approx(point) for point in [(0.0, 0.1), (1.0, 0.4), (4.0, 0.8)]]
    assert line[3][1] == pytest.approx(0.8)
    assert line[3][0] > axes.get_xlim()[1] or line[3][0] > 4.0


def test_a_dozen_labels_do_not_cover_each_other():
    axes = cost_quality(by_hand.curves(), by_hand.estimates(), by_hand.HULL).axes[0]
    placed = sorted(boxes(axes.figure, axes.texts), key=lambda box: box.y0)
    assert len(placed) == 9
    assert all(lower.y1 <= upper.y0 for lower, upper in itertools.pairwise(placed))
    assert all(box.x1 <= axes.figure.bbox.x1 for box in placed)


def test_every_competing_strategy_has_a_panel_with_its_own_curve():
    figure = cost_quality_panels(by_hand.curves(), by_hand.estimates(), by_hand.HULL)
    assert titles(figure) == ["adaptive", "heuristic", "confidence"]
    assert plotted(figure.axes[2], "curve:confidence") == [
        pytest.approx(point) for point in [(4.0, 0.8), (3.0, 0.5), (1.0, 0.4)]
    ]


def test_the_sweep_is_relative_to_the_dearest_model():
    swept = relative(by_hand.curves(), dearest="always_large").query("strategy == 'adaptive'")
    assert swept["quality"].tolist() == pytest.approx([1.0, 0.875, 0.5])
    assert swept["cost_usd"].tolist() == pytest.approx([1.0, 0.5, 0.25])
    assert swept["latency_s"].tolist() == pytest.approx([1.0, 0.5, 0.25])
    assert swept["small_share"].tolist() == [0.0, 0.6, 1.0]


def test_the_sweep_marks_the_operating_threshold():
    figure = threshold_sweep(by_hand.curves(), by_hand.estimates(), by_hand.operating_points())
    axes = figure.axes[0]
    assert plotted(axes, "operating threshold")[0][0] == 0.5
    assert plotted(axes, "cost_usd") == [pytest.approx(point) for point in [(0.0, 1.0), (0.5, 0.5), (1.0, 0.25)]]


def test_the_heatmap_shows_n_and_says_where_retention_is_undefined():
    axes = domain_heatmap(by_hand.estimates()).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["overall (10)", "code (5)", "logic (5)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["adaptive", "heuristic", "confidence", "small"]
    shown = np.array([text.get_text() for text in axes.texts]).reshape(3, 4)
    assert shown.tolist() == [["0.87", "0.75", "0.62", "0.50"], ["0.50"] * 4, ["n/a"] * 4]


def test_a_cell_of_the_heatmap_is_bold_only_where_its_interval_excludes_one():
    axes = domain_heatmap(by_hand.estimates()).axes[0]
    weights = [text.get_fontweight() for text in axes.texts]
    # Retention 0.875 has the interval [0.79, 0.96], and every other one lies below it.
    assert weights[:8] == ["bold"] * 8
    wide = by_hand.estimates().assign(high=2.0)
    assert {text.get_fontweight() for text in domain_heatmap(wide).axes[0].texts} == {"normal"}


def test_the_forest_ranks_by_gain_and_says_what_each_interval_shows():
    axes = forest(by_hand.estimates(), by_hand.comparisons()).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["adaptive", "heuristic", "confidence", "oracle", "random"]
    assert [text.get_text() for text in axes.texts] == [
        "beats the mixture, p = 0.001",
        "not shown to beat it",
        "falls short of it",
        "beats the mixture",
        "not shown to beat it",
    ]
    assert plotted(axes, "gain:confidence") == [pytest.approx((-0.17, 2))]
    assert plotted(axes, "interval:confidence") == [pytest.approx((-0.3, 2)), pytest.approx((-0.05, 2))]


@pytest.mark.parametrize("name", ["plane", "panels", "sweep", "heatmap", "forest"])
def test_nothing_is_cut_off_at_the_edge(name: str):
    curves, estimates = by_hand.curves(), by_hand.estimates()
    figure = {
        "plane": lambda: cost_quality(curves, estimates, by_hand.HULL),
        "panels": lambda: cost_quality_panels(curves, estimates, by_hand.HULL),
        "sweep": lambda: threshold_sweep(curves, estimates, by_hand.operating_points()),
        "heatmap": lambda: domain_heatmap(estimates),
        "forest": lambda: forest(estimates, by_hand.comparisons()),
    }[name]()
    with style.look():
        figure.draw_without_rendering()
        drawn = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert drawn.x0 >= -0.01
    assert drawn.y0 >= -0.01
    assert drawn.x1 <= width + 0.01
    assert drawn.y1 <= height + 0.01
