"""Quality predicted from the most similar fit tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import NearestNeighbors

from slm_orchestration.routing.prompt_vectors import Vectors, unit_length
from slm_orchestration.routing.training import training

_FOLDS = 5


@dataclass
class NearestTasksRouter:
    """The mean quality of the k fit tasks nearest in angle; k is chosen by held-out squared error over groups.

    Where no k beats the plain means by more than one standard error, the plain means are predicted: neighbours that
    tell nothing must not be followed.
    """

    vectors: Vectors
    neighbours: tuple[int, ...]
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the vectors, keep the fit tasks and choose k; k = 0 stands for the plain means."""
        seen = training(outcomes)
        points = unit_length(self.vectors.fit(seen.prompts).transform(seen.prompts))
        self._quality, self._means = seen.quality, seen.quality.mean(axis=0)
        self.k = self._best_k(points, seen.quality, seen.groups)
        self._index = NearestNeighbors(algorithm="brute").fit(points)
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        if self.k == 0:
            return np.tile(self._means, (len(prompts), 1))
        points = unit_length(self.vectors.transform(prompts["prompt"]))
        return self._quality[self._index.kneighbors(points, self.k, return_distance=False)].mean(axis=1)

    def _best_k(self, points: NDArray, quality: NDArray, groups: NDArray) -> int:
        folds = min(_FOLDS, len(np.unique(groups)))
        most = len(points) * (folds - 1) // folds if folds > 1 else 0
        candidates = [k for k in self.neighbours if k <= most]
        if not candidates or points.shape[1] == 0:
            return 0
        errors = np.empty((len(candidates), len(points)))
        plain = np.empty(len(points))
        for train, held_out in GroupKFold(folds).split(points, groups=groups):
            index = NearestNeighbors(algorithm="brute").fit(points[train])
            near = index.kneighbors(points[held_out], max(candidates), return_distance=False)
            for row, k in enumerate(candidates):
                predicted = quality[train][near[:, :k]].mean(axis=1)
                errors[row, held_out] = ((predicted - quality[held_out]) ** 2).sum(axis=1)
            plain[held_out] = ((quality[train].mean(axis=0) - quality[held_out]) ** 2).sum(axis=1)
        best = int(errors.mean(axis=1).argmin())
        gain = plain - errors[best]
        return candidates[best] if gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)) else 0
