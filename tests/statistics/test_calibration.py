import numpy as np
import pytest

from slm_orchestration.statistics import calibration

PREDICTED = np.array([0.1, 0.1, 0.85, 0.95])
QUALITY = np.array([0.0, 1.0, 1.0, 1.0])


def test_the_calibration_error_adds_up():
    # Bin .1: predicted .1, came .5; bins .8 and .9: .15 and .05 short. (2 · .4 + .15 + .05) / 4.
    assert calibration.expected_calibration_error(PREDICTED, QUALITY) == pytest.approx(0.25)
    assert calibration.reliability(PREDICTED, QUALITY)["tasks"].tolist() == [2, 1, 1]


def test_a_prediction_of_one_falls_into_the_last_bin():
    assert calibration.reliability(np.array([1.0]), np.array([1.0]))["bin"].tolist() == [9]


def test_predictions_outside_zero_and_one_are_refused():
    with pytest.raises(ValueError, match=r"predicted quality lies between 0 and 1, got 1\.5 for task 0"):
        calibration.expected_calibration_error(np.array([1.5]), np.array([1.0]))
