"""Quality predicted from the most similar fit tasks (k nearest neighbours)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.features import Vectors, unit_length
from slm_orchestration.routing.router import fit_data
from slm_orchestration.statistics.grid import STEP

_BLOCK = 1024  # prompts compared at a time, so that memory does not grow with them


@dataclass
class NearestTasksRouter:
    """The mean quality of the k fit tasks of the largest cosine similarity.

    `tune` chooses the k of `neighbours` with the least squared error on calibration tasks. If its gain over each
    model's mean is not above one standard error, or without tuning, k is 0 and the means are predicted.
    """

    vectors: Vectors
    neighbours: tuple[int, ...]
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the vectors and keep the fit tasks."""
        fit = fit_data(outcomes)
        points = unit_length(self.vectors.fit(fit.prompts).transform(fit.prompts))
        self._quality, self._means, self.k = fit.quality, fit.quality.mean(axis=0), 0
        self._points = points
        return self

    def tune(self, outcomes: pd.DataFrame) -> Self:
        """Choose k on calibration tasks."""
        candidates = [k for k in self.neighbours if k <= len(self._quality)]
        if not self._points.shape[1] or not candidates or outcomes.empty:
            return self
        fit = fit_data(outcomes)
        errors = [((self._nearest(fit.prompts, k) - fit.quality) ** 2).sum(axis=1) for k in candidates]
        best = int(np.argmin([error.mean() for error in errors]))
        gain = ((self._means - fit.quality) ** 2).sum(axis=1) - errors[best]
        significant = len(gain) > 1 and gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
        self.k = candidates[best] if significant else 0
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
    """Return, per point, the indices of the `count` rows of `among` with the largest cosine, ascending.

    All points must come from `unit_length`, so that cosines are exact; of equal cosines the earlier row is nearer.
    """
    scaled = (points / STEP) @ (among / STEP).T  # integers, so sums are exact in any order
    # An integer key that orders by cosine, then by row, so that there are no ties.
    key = scaled.astype(np.int64) * len(among) + np.arange(len(among))[::-1]
    return np.sort(np.argpartition(-key, count - 1, axis=1)[:, :count], axis=1)
