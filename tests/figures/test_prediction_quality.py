import pandas as pd

from slm_orchestration.figures.prediction_quality import prediction_quality
from slm_orchestration.studies.predictions import MEASURES, against_gain
from tests.figures.read_back import fits, titles


def measured() -> pd.DataFrame:
    table = pd.DataFrame({"strategy": ["adaptive", "knn", "length"], "mean_gain": [0.04, 0.03, -0.03]})
    return table.assign(**{name: [0.3, 0.2, 0.4] for name in MEASURES})


def test_each_panel_shows_its_measure_against_the_gain_and_how_they_go_together():
    figure = prediction_quality(measured(), against_gain(measured()))
    assert titles(figure) == ["rank correlation 0.50", "rank correlation -0.50", "rank correlation -0.50"]
    points = [tuple(map(float, line.get_xydata()[0])) for line in figure.axes[1].get_lines()[:3]]
    assert points == [(0.3, 0.04), (0.2, 0.03), (0.4, -0.03)]
    assert [text.get_text() for text in figure.axes[2].texts] == ["adaptive", "k nearest neighbours", "length"]


def test_nothing_is_cut_off_at_the_edge():
    assert fits(prediction_quality(measured(), against_gain(measured())))
