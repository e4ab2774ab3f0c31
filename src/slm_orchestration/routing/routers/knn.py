"""Quality predicted from the most similar fit tasks (k nearest neighbours)."""

from __future__ import annotations

from collections.abc import Sequence
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
    model's mean is not above one standard error, or without tuning, k is 0 and the means are predicted. Of more than
    `most_tasks` fit tasks, so many are kept, spread evenly, and the vectors are fitted on them.
    """

    vectors: Vectors
    neighbours: tuple[int, ...]
    most_tasks: int | None = None
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the vectors and keep the fit tasks."""
        fit = fit_data(outcomes)
        count = len(fit.quality) if self.most_tasks is None else min(self.most_tasks, len(fit.quality))
        kept = np.arange(count) * len(fit.quality) // max(count, 1)
        prompts = fit.prompts.iloc[kept]
        points = unit_length(self.vectors.fit(prompts).transform(prompts))
        self._quality, self._means, self.k = fit.quality[kept], fit.quality.mean(axis=0), 0
        self._points = points
        return self

    def tune(self, outcomes: pd.DataFrame) -> Self:
        """Choose k on calibration tasks."""
        candidates = [k for k in self.neighbours if k <= len(self._quality)]
        if not self._points.shape[1] or not candidates or outcomes.empty:
            return self
        fit = fit_data(outcomes)
        predicted = self._nearest(fit.prompts, candidates)
        errors = [((quality - fit.quality) ** 2).sum(axis=1) for quality in predicted]
        best = int(np.argmin([error.mean() for error in errors]))
        gain = ((self._means - fit.quality) ** 2).sum(axis=1) - errors[best]
        significant = len(gain) > 1 and gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
        self.k = candidates[best] if significant else 0
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        if self.k == 0 or prompts.empty:
            return np.tile(self._means, (len(prompts), 1))
        return self._nearest(prompts["prompt"], [self.k])[0]

    def _nearest(self, prompts: pd.Series, counts: Sequence[int]) -> list[NDArray[np.float64]]:
        """Return the mean quality of the k nearest fit tasks, tasks × models, for each k of `counts`."""
        points = unit_length(self.vectors.transform(prompts))
        found: list[list[NDArray[np.float64]]] = [[] for _ in counts]
        for start in range(0, len(points), _BLOCK):
            nearest = _nearest_first(points[start : start + _BLOCK], self._points, max(counts))
            for part, count in zip(found, counts, strict=True):
                part.append(self._quality[np.sort(nearest[:, :count], axis=1)].mean(axis=1))
        return [np.vstack(part) for part in found]


def nearest_rows(points: NDArray[np.float64], among: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return, per point, the indices of the `count` rows of `among` with the largest cosine, ascending.

    All points must come from `unit_length`, so that cosines are exact; of equal cosines the earlier row is nearer.
    """
    return np.sort(_nearest_first(points, among, count), axis=1)


def _nearest_first(points: NDArray[np.float64], among: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return what `nearest_rows` returns, the nearest first."""
    scaled = (points / STEP) @ (among / STEP).T  # integers, so sums are exact in any order
    # An integer key that orders by cosine, then by row, so that there are no ties.
    key = -(scaled.astype(np.int64) * len(among) + np.arange(len(among))[::-1])
    nearest = np.argpartition(key, count - 1, axis=1)[:, :count]
    return np.take_along_axis(nearest, np.take_along_axis(key, nearest, axis=1).argsort(axis=1), axis=1)
