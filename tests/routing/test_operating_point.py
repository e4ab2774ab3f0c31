import numpy as np
import pytest

from slm_orchestration.routing.operating_point import Fixed, Retention
from slm_orchestration.routing.references import one_model_each
from slm_orchestration.routing.replay import Overhead, replay
from tests.routing.tables_by_hand import matrix

# the large model is right on all four tasks, the small one on the first three
OUTCOMES = matrix([[1, 1], [1, 1], [1, 1], [0, 1]])
LARGE_ON = [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]


def _replayed(chosen):
    return replay(
        "s", one_model_each(np.array(chosen), 2, np.linspace(0, 1, len(chosen))), OUTCOMES, overhead=Overhead()
    )


def test_retention_takes_the_cheapest_threshold_that_keeps_the_target():
    assert Retention(target=1.0).choose(_replayed(LARGE_ON), OUTCOMES).position == 2
    assert Retention(target=0.75).choose(_replayed(LARGE_ON), OUTCOMES).position == 3


def test_retention_says_when_nothing_keeps_the_target():
    chosen = Retention(target=0.95).choose(_replayed([[0, 0, 0, 0], [0, 0, 0, 0]]), OUTCOMES)
    assert "none keeps 0.95" in chosen.reason


def test_fixed_takes_its_threshold_which_is_replayed_even_if_the_grid_lacks_it():
    assert Fixed(0.7).extra_thresholds() == [0.7]
    assert Fixed(0.7).choose(_replayed(LARGE_ON), OUTCOMES).position == 2


def test_a_fixed_threshold_beyond_1_is_refused():
    with pytest.raises(ValueError, match="allowed is 0 to 1"):
        Fixed(2).choose(_replayed(LARGE_ON), OUTCOMES)
