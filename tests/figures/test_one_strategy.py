import pandas as pd
import pytest

from slm_orchestration.figures.one_strategy import one_strategy
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import fits, plotted

VERTICES = pd.DataFrame({"name": ["small", "large"], "cost_usd": [1e-6, 4e-6], "quality": [0.4, 0.8]})
NO_VERTICES = VERTICES.iloc[:0]
NO_DOLLARS = {"cost_usd": float("nan")}


def curve(name="adaptive", **changed):
    curves = by_hand.curves()
    return curves[curves["strategy"] == name].assign(**changed)


def labels(axes):
    return [line.get_label() for line in axes.get_lines()]


def test_the_curve_runs_from_threshold_to_threshold_in_dollars_per_thousand_tasks():
    # The rows of domains lie elsewhere and the table is upside down: neither is to be seen.
    rows = curve().iloc[::-1]
    rows.loc[rows["domain"] != "overall", "quality"] = 0.0
    axes = one_strategy(rows, 0.5, VERTICES).axes[0]
    assert plotted(axes, "thresholds") == [pytest.approx(point) for point in [(4e-3, 0.8), (2e-3, 0.7), (1e-3, 0.4)]]
    assert axes.get_xlabel() == "Mean cost (USD per 1,000 tasks)" and axes.get_ylabel() == "Mean quality"
    assert axes.get_title(loc="left") == "adaptive"


def test_the_star_stands_at_the_chosen_threshold():
    for threshold, point in ((0.5, (2e-3, 0.7)), (1.0, (1e-3, 0.4))):
        axes = one_strategy(curve(), threshold, VERTICES).axes[0]
        assert plotted(axes, "operating point") == [pytest.approx(point)]


def test_a_strategy_without_thresholds_is_a_point_and_its_star():
    axes = one_strategy(curve("oracle"), float("nan"), VERTICES).axes[0]
    assert plotted(axes, "thresholds") == plotted(axes, "operating point") == [pytest.approx((2e-3, 0.9))]


def test_the_mixture_that_it_must_beat_joins_the_named_models():
    axes = one_strategy(curve(), 0.5, VERTICES).axes[0]
    assert plotted(axes, "mixture") == [pytest.approx((1e-3, 0.4)), pytest.approx((4e-3, 0.8))]
    assert [(text.get_text(), text.xy) for text in axes.texts] == [
        ("small", pytest.approx((1e-3, 0.4))),
        ("large", pytest.approx((4e-3, 0.8))),
    ]


@pytest.mark.parametrize(("rows", "vertices"), [(curve(**NO_DOLLARS), VERTICES), (curve(), NO_VERTICES)])
def test_without_dollars_or_a_mixture_quality_stands_against_the_share_for_small_models(rows, vertices):
    axes = one_strategy(rows, 0.5, vertices).axes[0]
    assert plotted(axes, "thresholds") == [(0.0, 0.8), (0.6, 0.7), (1.0, 0.4)]
    assert plotted(axes, "operating point") == [(0.6, 0.7)]
    assert labels(axes) == ["thresholds", "operating point"] and not axes.texts
    assert axes.get_xlabel() == "Share of tasks for small models"


def test_a_model_with_dollar_signs_in_its_name_is_printed_as_it_is():
    rows = curve("always_small").assign(strategy="always_$x^{$")
    figure = one_strategy(rows, float("nan"), VERTICES.assign(name=["$x^{$", "large"]))
    assert figure.axes[0].texts[0].get_text() == figure.axes[0].get_title(loc="left") == "$x^{$"
    assert fits(figure)


def test_nothing_is_cut_off_at_the_edge():
    assert fits(one_strategy(curve(), 0.5, VERTICES))
    assert fits(one_strategy(curve(**NO_DOLLARS), 0.5, NO_VERTICES))
