import pandas as pd
import pytest

from slm_orchestration.figures.faults import faults_figure


def test_the_faults_figure_shows_each_protections_availability_by_rate():
    table = pd.DataFrame(
        [
            ("fail", 0.05, "none", 0.95, 0.93, 0.96),
            ("fail", 0.01, "none", 0.99, 0.98, 0.995),
            ("fail", 0.05, "all", 1.0, 0.99, 1.0),
        ],
        columns=["fault", "rate", "protection", "availability", "low", "high"],
    )
    [axes] = faults_figure(table).axes
    drawn = {one.get_label(): one.lines[0].get_xydata().tolist() for one in axes.containers}
    assert drawn["none"] == [pytest.approx([1.0, 99.0]), pytest.approx([5.0, 95.0])]
    assert drawn["all"] == [pytest.approx([5.0, 100.0])]
