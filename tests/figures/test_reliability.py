import numpy as np
import pytest

from slm_orchestration.figures.reliability import reliability_diagrams
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import fits


def test_reliability_shows_each_models_bins_with_their_intervals():
    figure = reliability_diagrams(by_hand.outcomes(), level=0.95)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["small", "large"]
    points = figure.axes[0].collections[0].get_offsets()
    assert np.asarray(points).tolist() == [pytest.approx([0.25, 0.0]), pytest.approx([0.85, 1.0])]
    # Off by 0.25 on six tasks and by 0.15 on four.
    assert "calibration error 0.21" in figure.axes[0].texts[0].get_text()


def test_nothing_is_cut_off_at_the_edge():
    assert fits(reliability_diagrams(by_hand.outcomes(), level=0.95))
