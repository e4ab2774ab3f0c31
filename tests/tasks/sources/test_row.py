"""What counts as a missing field of a row."""

import numpy as np
import pytest

from slm_orchestration.tasks.sources.row import is_missing


@pytest.mark.parametrize("value", [None, float("nan"), np.float64("nan")])
def test_null_and_nan_are_missing(value):
    assert is_missing(value)


@pytest.mark.parametrize("value", ["", 0, 0.0, False, [], "nan", float("inf")])
def test_what_is_empty_or_zero_is_a_value(value):
    assert not is_missing(value)
