"""The quality of predictions, on numbers a reader can add up."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.studies.predictions import MEASURES, against_gain, prediction_table
from tests.routing.tables_by_hand import matrix


def test_each_measure_of_predictions_by_hand():
    outcomes = matrix([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    outcomes.tasks["dataset"] = ["a", "a", "b", "b"]
    predicted = np.array([[0.75, 0.5], [0.25, 0.5], [0.25, 0.5], [0.25, 0.5]])
    small, large = prediction_table(predicted, outcomes).to_dict("records")
    assert small["brier"] == pytest.approx((3 * 0.25**2 + 0.75**2) / 4)
    assert small["calibration_error"] == pytest.approx((1 * 0.25 + 3 * (1 / 3 - 0.25)) / 4)
    assert small["auroc"] == pytest.approx((2 + 1) / 4)  # one task of two right ones stands above both wrong ones
    assert small["auroc_within"] == pytest.approx((1 + 0.5) / 2)
    assert np.isnan(small["advantage"])
    assert large["auroc"] == 0.5
    graded, told = [-1, 1, 1, 0], [-0.25, 0.25, 0.25, 0.25]
    assert large["advantage"] == pytest.approx(np.corrcoef(told, graded)[0, 1])


def test_predictions_that_do_not_differ_have_no_advantage_to_correlate():
    table = prediction_table(np.full((2, 2), 0.5), matrix([[1.0, 0.0], [0.0, 1.0]]))
    assert table["advantage"].isna().all()


def test_errors_count_against_predictions_and_unknown_measures_are_left_out():
    measured = pd.DataFrame({name: [0.1, 0.2, 0.3] for name in MEASURES} | {"mean_gain": [0.03, 0.02, 0.01]})
    measured.loc[0, "auroc"] = np.nan
    found = against_gain(measured).set_index("measure")
    assert found.loc["brier", "spearman"] == 1 and found.loc["advantage", "spearman"] == -1
    assert found.loc["auroc", "strategies"] == 2 and np.isnan(found.loc["auroc", "spearman"])
