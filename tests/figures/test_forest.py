import pytest

from slm_orchestration.figures.forest import forest
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import fits, plotted


def test_the_forest_ranks_by_gain_and_says_what_each_interval_shows():
    axes = forest(by_hand.estimates(), by_hand.comparisons()).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["adaptive", "heuristic", "confidence", "oracle", "random"]
    assert [text.get_text() for text in axes.texts] == [
        "better, p = 0.001",
        "undecided, p = 0.400",
        "worse, p = 0.001",
        "better, p = 0.001",
        "undecided, p = 0.400",
    ]
    assert plotted(axes, "gain:confidence") == [pytest.approx((-0.17, 2))]
    assert plotted(axes, "interval:confidence") == [pytest.approx((-0.3, 2)), pytest.approx((-0.05, 2))]


def test_nothing_is_cut_off_at_the_edge():
    assert fits(forest(by_hand.estimates(), by_hand.comparisons()))
