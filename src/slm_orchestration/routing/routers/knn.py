"""Quality predicted from the most similar fit tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.features import Vectors, unit_length
from slm_orchestration.routing.router import training
from slm_orchestration.statistics.grid import STEP

_BLOCK = 1024  # prompts compared at a time, so that memory does not grow with them


@dataclass
class NearestTasksRouter:
    """The mean quality of the k fit tasks nearest in angle, k being that of least squared error on calibration tasks.

    Where no k beats the plain means there by more than one standard error, the plain means are predicted: neighbours
    that tell nothing must not be followed. Without tuning k is 0, which stands for the plain means.
    """

    vectors: Vectors
    neighbours: tuple[int, ...]
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the vectors and keep the fit tasks."""
        seen = training(outcomes)
        points = unit_length(self.vectors.fit(seen.prompts).transform(seen.prompts))
        self._quality, self._means, self.k = seen.quality, seen.quality.mean(axis=0), 0
        self._points = points
        return self

    def tune(self, outcomes: pd.DataFrame) -> Self:
        """Choose k on calibration tasks, or none."""
        candidates = [k for k in self.neighbours if k <= len(self._quality)]
        if not self._points.shape[1] or not candidates or outcomes.empty:
            return self
        seen = training(outcomes)
        errors = [((self._nearest(seen.prompts, k) - seen.quality) ** 2).sum(axis=1) for k in candidates]
        best = int(np.argmin([error.mean() for error in errors]))
        gain = ((self._means - seen.quality) ** 2).sum(axis=1) - errors[best]
        certain = len(gain) > 1 and gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
        self.k = candidates[best] if certain else 0
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        if self.k == 0 or prompts.empty:
            return np.tile(self._means, (len(prompts), 1))
        return self._nearest(prompts["prompt"], self.k)

    def _nearest(self, prompts: pd.Series, k: int) -> NDArray[np.float64]:
        points = unit_length(self.vectors.transform(prompts))
        blocks = range(0, len(points), _BLOCK)
        nearest = np.vstack([nearest_rows(points[start : start + _BLOCK], self._points, k) for start in blocks])
        return self._quality[nearest].mean(axis=1)


def nearest_rows(points: NDArray[np.float64], among: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return, per point, the `count` rows of `among` of the largest cosine, in the order of the rows.

    Points are of unit length on the grid (`unit_length`), so that cosines are exact; of equal cosines the earlier row
    is nearer. Returns points × count.
    """
    scaled = (points / STEP) @ (among / STEP).T  # whole numbers, exact in any order of adding
    # One whole number per row that orders by cosine and then by row, so that no two are equal.
    key = scaled.astype(np.int64) * len(among) + np.arange(len(among))[::-1]
    return np.sort(np.argpartition(-key, count - 1, axis=1)[:, :count], axis=1)
