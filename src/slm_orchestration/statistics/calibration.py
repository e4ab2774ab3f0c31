"""How well predicted quality matches what came: expected calibration error, Brier score, AUROC, reliability curve."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from slm_orchestration.statistics.intervals import UndefinedStatistic

Floats = NDArray[np.float64]

BINS = 10
# Graded quality of at least this counts as right where a metric needs right and wrong.
RIGHT_FROM = 0.5


def brier(predicted: Floats, quality: Floats) -> float:
    """Return the mean squared distance of predicted from graded quality (Brier 1950)."""
    _check(predicted, quality)
    return float(np.mean((predicted - quality) ** 2))


def expected_calibration_error(predicted: Floats, quality: Floats, *, bins: int = BINS) -> float:
    """Return the mean distance of predicted from graded quality over bins of equal width, weighted by their tasks.

    Bins of [0, 1] are closed on the left, the last on both sides (Guo et al. 2017); empty bins weigh nothing.
    """
    curve = reliability(predicted, quality, bins=bins)
    return float(np.average((curve["predicted"] - curve["quality"]).abs(), weights=curve["tasks"]))


def reliability(predicted: Floats, quality: Floats, *, bins: int = BINS) -> pd.DataFrame:
    """Return predicted and graded quality per bin that holds a task, and how many it holds."""
    _check(predicted, quality)
    position = np.minimum((predicted * bins).astype(int), bins - 1)
    frame = pd.DataFrame({"bin": position, "predicted": predicted, "quality": quality, "tasks": 1})
    means = frame.groupby("bin")[["predicted", "quality"]].mean()
    return means.assign(tasks=frame.groupby("bin")["tasks"].sum()).reset_index()


def auroc(predicted: Floats, quality: Floats, *, right_from: float = RIGHT_FROM) -> float:
    """Return the chance that a right task was predicted better than a wrong one, ties counting half (Mann-Whitney)."""
    _check(predicted, quality)
    right = quality >= right_from
    if right.all() or not right.any():
        raise UndefinedStatistic("AUROC needs tasks that are right and tasks that are wrong")
    ranks = stats.rankdata(predicted)
    count = int(right.sum())
    return float((ranks[right].sum() - count * (count + 1) / 2) / (count * (right.size - count)))


def _check(predicted: Floats, quality: Floats) -> None:
    if predicted.size != quality.size or predicted.size == 0:
        raise ValueError(f"predictions and qualities need the same tasks, got {predicted.size} and {quality.size}")
    for name, values in (("predicted", predicted), ("graded", quality)):
        outside = np.flatnonzero(~((values >= 0) & (values <= 1)))
        if outside.size:
            raise ValueError(f"{name} quality lies between 0 and 1, got {values[outside[0]]} for task {outside[0]}")
