"""A small regression from features to quality in [0, 1], shared by the fitted routers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.model_selection import GroupKFold

_FOLDS = 5
_STEPS = 50  # of Newton's method
_NEAR = 1e-6  # the largest gradient from which one more step leaves nothing but rounding: steps square the error


@dataclass
class QualityModel:
    """Logistic regression on graded quality; cross-validated log loss over groups of fit tasks chooses the penalty.

    A quality of 0.3 counts as 0.3 of a right and 0.7 of a wrong answer. Features come standardised; where all qualities
    are 0 or all are 1, the smoothed mean is predicted.
    """

    inverse_penalties: tuple[float, ...] = (0.003, 0.03, 0.3)

    def fit(self, features: NDArray[np.float64], quality: NDArray[np.float64], groups: NDArray) -> Self:
        """Fit on tasks × features and a quality in [0, 1] per task."""
        losses = [self._held_out_loss(features, quality, groups, penalty) for penalty in self.inverse_penalties]
        self._model = _fitted(features, quality, self.inverse_penalties[int(np.argmin(losses))])
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a predicted quality in (0, 1) per task."""
        return _predict(self._model, features)

    def _held_out_loss(self, features: NDArray, quality: NDArray, groups: NDArray, penalty: float) -> float:
        folds = min(_FOLDS, len(np.unique(groups)))
        if len(self.inverse_penalties) == 1 or folds < 2:
            return 0.0
        losses = np.empty(len(quality))
        for train, held_out in GroupKFold(folds).split(features, groups=groups):
            predicted = _predict(_fitted(features[train], quality[train], penalty), features[held_out])
            right = quality[held_out]
            losses[held_out] = -(right * np.log(predicted) + (1 - right) * np.log1p(-predicted))
        return float(losses.mean())


def _fitted(features: NDArray, quality: NDArray, penalty: float) -> NDArray[np.float64]:
    """Return weights, the intercept's last, that minimise penalty · log loss + |weights|² / 2, by Newton's method."""
    weights = np.zeros(features.shape[1] + 1)
    if quality.min() == quality.max() and quality.min() in (0.0, 1.0):
        weights[-1] = np.log(quality.sum() + 1) - np.log((1 - quality).sum() + 1)
        return weights
    points = np.column_stack([features, np.ones(len(features))])
    shrunk = np.append(np.ones(features.shape[1]), 0.0)  # the intercept is free
    loss = _loss(weights, points, quality, penalty)
    for _ in range(_STEPS):
        predicted = expit(points @ weights)
        gradient = penalty * ((predicted - quality) @ points) + shrunk * weights
        curvature = (points.T * (penalty * predicted * (1 - predicted))) @ points + np.diag(shrunk + 1e-10)
        step, length = np.linalg.solve(curvature, gradient), 1.0
        if np.abs(gradient).max() < _NEAR:
            return weights - step
        while (tried := _loss(weights - length * step, points, quality, penalty)) > loss and length > 1e-6:
            length /= 2
        weights, loss = weights - length * step, tried
    return weights


def _loss(weights: NDArray, points: NDArray, quality: NDArray, penalty: float) -> float:
    logits = points @ weights
    return float(penalty * (np.logaddexp(0, logits) - quality * logits).sum() + weights[:-1] @ weights[:-1] / 2)


def _predict(weights: NDArray[np.float64], features: NDArray) -> NDArray[np.float64]:
    return np.clip(expit(features @ weights[:-1] + weights[-1]), 1e-6, 1 - 1e-6)
