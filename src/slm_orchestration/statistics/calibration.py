"""Calibration of predicted quality: expected calibration error and reliability curve."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS = 10


def expected_calibration_error(predicted: Floats, quality: Floats, *, bins: int = BINS) -> float:
    """Return the mean absolute difference of predicted and graded quality over bins of equal width, weighted by tasks.

    Bins of [0, 1] are closed on the left, the last on both sides (Guo et al. 2017); empty bins have no weight.
    Raises ValueError where a value lies outside [0, 1] or the arrays differ in size.
    """
    curve = reliability(predicted, quality, bins=bins)
    return float(np.average((curve["predicted"] - curve["quality"]).abs(), weights=curve["tasks"]))


def reliability(predicted: Floats, quality: Floats, *, bins: int = BINS) -> pd.DataFrame:
    """Return mean predicted and graded quality and the number of tasks of each bin that holds a task."""
    _check(predicted, quality)
    position = np.minimum((predicted * bins).astype(int), bins - 1)
    frame = pd.DataFrame({"bin": position, "predicted": predicted, "quality": quality, "tasks": 1})
    means = frame.groupby("bin")[["predicted", "quality"]].mean()
    return means.assign(tasks=frame.groupby("bin")["tasks"].sum()).reset_index()


def _check(predicted: Floats, quality: Floats) -> None:
    if predicted.size != quality.size or predicted.size == 0:
        raise ValueError(f"predictions and qualities need the same tasks, got {predicted.size} and {quality.size}")
    for name, values in (("predicted", predicted), ("graded", quality)):
        outside = np.flatnonzero(~((values >= 0) & (values <= 1)))
        if outside.size:
            raise ValueError(f"{name} quality lies between 0 and 1, got {values[outside[0]]} for task {outside[0]}")
