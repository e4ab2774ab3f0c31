import itertools

import pandas as pd
import pytest

from slm_orchestration.figures.cost_quality import cost_quality, cost_quality_panels
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import boxes, errorbar, fits, plotted, titles


def test_the_plane_shows_each_operating_point_where_the_table_has_it():
    axes = cost_quality(by_hand.curves(), by_hand.estimates(), by_hand.HULL).axes[0]
    assert errorbar(axes, "point:adaptive") == [pytest.approx((2.0, 0.7))]
    assert errorbar(axes, "point:confidence") == [pytest.approx((3.0, 0.5))]
    assert "oracle" not in [text.get_text() for text in axes.texts] and axes.get_ylim()[1] < 0.9
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


def test_the_mixture_starts_at_guess_and_is_flat_beyond_its_most_expensive_model():
    axes = cost_quality(by_hand.curves(), by_hand.estimates(), by_hand.HULL).axes[0]
    line = plotted(axes, "mixture")
    assert line[:3] == [pytest.approx(point) for point in [(0.0, 0.1), (1.0, 0.4), (4.0, 0.8)]]
    assert line[3][1] == pytest.approx(0.8)
    assert line[3][0] > axes.get_xlim()[1] or line[3][0] > 4.0


def test_a_dozen_labels_do_not_cover_each_other():
    axes = cost_quality(by_hand.curves(), by_hand.estimates(), by_hand.HULL).axes[0]
    placed = sorted(boxes(axes.figure, axes.texts), key=lambda box: box.y0)
    assert len(placed) == 8
    assert all(lower.y1 <= upper.y0 for lower, upper in itertools.pairwise(placed))
    assert all(box.x1 <= axes.figure.bbox.x1 for box in placed)


def test_every_competing_strategy_has_a_panel_with_its_own_curve():
    figure = cost_quality_panels(by_hand.curves(), by_hand.estimates(), by_hand.HULL)
    assert titles(figure) == ["adaptive", "heuristic", "confidence"]
    assert plotted(figure.axes[2], "curve:confidence") == [
        pytest.approx(point) for point in [(4.0, 0.8), (3.0, 0.5), (1.0, 0.4)]
    ]


def test_nothing_is_cut_off_at_the_edge():
    arguments = by_hand.curves(), by_hand.estimates(), by_hand.HULL
    assert fits(cost_quality(*arguments))
    assert fits(cost_quality_panels(*arguments))
