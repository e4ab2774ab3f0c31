"""Similarity-weighted Bradley-Terry: which model wins on tasks like this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.features import Vectors, unit_length
from slm_orchestration.routing.router import fit_data

_STEPS = 50
_BLOCK = 1024  # prompts at a time, so that memory does not grow with them


@dataclass
class BradleyTerryRouter:
    """Bradley-Terry strengths per prompt, fitted on all fit tasks with weights base**(1 + cosine similarity).

    Predicts the probability of winning against the most expensive model; a tie is half a win for each side.
    Source: Ong et al. 2024, RouteLLM, similarity-weighted ranking (base 10); Hunter 2004 for the fit.
    """

    vectors: Vectors
    base: float
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Keep the fit tasks' vectors and the wins of each pair of models on them."""
        fit = fit_data(outcomes)
        self._points = unit_length(self.vectors.fit(fit.prompts).transform(fit.prompts))
        higher = fit.quality[:, :, None] - fit.quality[:, None, :]
        self._wins = (0.5 + 0.5 * np.sign(higher)).reshape(len(higher), -1)
        self._models = len(fit.models)
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]; 0.5 for the most expensive model, which ties with itself."""
        points = unit_length(self.vectors.transform(prompts["prompt"]))
        return np.vstack(
            [self._predict(points[start : start + _BLOCK]) for start in range(0, max(len(points), 1), _BLOCK)]
        )

    def _predict(self, points: NDArray) -> NDArray[np.float64]:
        similarity = points @ self._points.T
        weights = self.base ** (1 + similarity)
        weights /= weights.sum(axis=1, keepdims=True)
        wins = (weights @ self._wins).reshape(-1, self._models, self._models)
        wins[:, np.arange(self._models), np.arange(self._models)] = 0.0
        strength = _strengths(wins)
        return strength / (strength + strength[:, -1:])


def _strengths(wins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return strengths by the minorise-maximise steps of Hunter 2004, for all prompts at once."""
    wins = wins + 1e-3 * (1 - np.eye(wins.shape[1]))  # so that no model wins or loses everything
    games = wins + wins.transpose(0, 2, 1)
    strength = np.ones(wins.shape[:2])
    for _ in range(_STEPS):
        strength = wins.sum(axis=2) / (games / (strength[:, :, None] + strength[:, None, :])).sum(axis=2)
        strength /= strength.sum(axis=1, keepdims=True)
    return strength
