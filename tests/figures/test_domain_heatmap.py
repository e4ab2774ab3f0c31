import numpy as np

from slm_orchestration.figures.domain_heatmap import domain_heatmap
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import fits


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


def test_nothing_is_cut_off_at_the_edge():
    assert fits(domain_heatmap(by_hand.estimates()))
