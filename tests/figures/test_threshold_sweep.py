import pytest

from slm_orchestration.figures.threshold_sweep import relative, threshold_sweep
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import fits, plotted


def test_the_sweep_is_relative_to_the_most_expensive_model():
    swept = relative(by_hand.curves(), most_expensive="always_large").query("strategy == 'adaptive'")
    assert swept["quality"].tolist() == pytest.approx([1.0, 0.875, 0.5])
    assert swept["cost_usd"].tolist() == pytest.approx([1.0, 0.5, 0.25])
    assert swept["latency_s"].tolist() == pytest.approx([1.0, 0.5, 0.25])
    assert swept["small_share"].tolist() == [0.0, 0.6, 1.0]


def test_the_sweep_marks_the_operating_threshold():
    figure = threshold_sweep(by_hand.curves(), by_hand.estimates(), by_hand.operating_points())
    axes = figure.axes[0]
    assert plotted(axes, "operating threshold")[0][0] == 0.5
    assert plotted(axes, "cost_usd") == [pytest.approx(point) for point in [(0.0, 1.0), (0.5, 0.5), (1.0, 0.25)]]


def test_nothing_is_cut_off_at_the_edge():
    assert fits(threshold_sweep(by_hand.curves(), by_hand.estimates(), by_hand.operating_points()))
