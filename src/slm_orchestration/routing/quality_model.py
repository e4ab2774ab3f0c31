"""Regressions from features to a quality in [0, 1], which routers fit per model: logistic or gradient-boosted."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GroupKFold
from threadpoolctl import ThreadpoolController

_FOLDS = 5
_STEPS = 50  # of Newton's method
_SMALL_GRADIENT = 1e-6  # one more step then converges to rounding, as Newton's steps square the error


class QualityModel(Protocol):
    """Predicts a quality in [0, 1] from features (tasks × features)."""

    def fit(self, features: NDArray[np.float64], quality: NDArray[np.float64], groups: NDArray) -> Self: ...

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]: ...


@dataclass
class LogisticQuality:
    """Logistic regression on graded quality: 0.3 counts as 0.3 of a right and 0.7 of a wrong answer.

    The penalty is chosen by log loss in a cross-validation over groups of fit tasks. Features must be standardised.
    Where all qualities are 0 or all are 1, the smoothed mean (sum + 1) / (n + 2) is predicted.
    """

    inverse_penalties: tuple[float, ...] = (0.003, 0.03, 0.3)

    def fit(self, features: NDArray[np.float64], quality: NDArray[np.float64], groups: NDArray) -> Self:
        """Fit on tasks × features and a quality in [0, 1] per task."""
        losses = [self._held_out_loss(features, quality, groups, penalty) for penalty in self.inverse_penalties]
        self._weights = _fitted_weights(features, quality, self.inverse_penalties[int(np.argmin(losses))])
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a predicted quality in (0, 1) per task."""
        return _predict(self._weights, features)

    def _held_out_loss(self, features: NDArray, quality: NDArray, groups: NDArray, penalty: float) -> float:
        folds = min(_FOLDS, len(np.unique(groups)))
        if len(self.inverse_penalties) == 1 or folds < 2:
            return 0.0
        losses = np.empty(len(quality))
        for train, held_out in GroupKFold(folds).split(features, groups=groups):
            predicted = _predict(_fitted_weights(features[train], quality[train], penalty), features[held_out])
            observed = quality[held_out]
            losses[held_out] = -(observed * np.log(predicted) + (1 - observed) * np.log1p(-predicted))
        return float(losses.mean())


@dataclass
class BoostedTrees:
    """Histogram gradient boosting on squared error; few and small trees, as fit tasks are few."""

    trees: int
    learning_rate: float
    leaf_tasks: int
    seed: int

    def fit(self, features: NDArray[np.float64], quality: NDArray[np.float64], groups: NDArray) -> Self:
        """Fit on tasks × features; groups are not used, as nothing is tuned."""
        trees = HistGradientBoostingRegressor(
            max_iter=self.trees,
            learning_rate=self.learning_rate,
            min_samples_leaf=self.leaf_tasks,
            early_stopping=False,
            random_state=self.seed,
        )
        with _one_thread():
            self._trees = trees.fit(features, quality)
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a predicted quality in [0, 1] per task."""
        with _one_thread():
            return np.clip(self._trees.predict(features), 0.0, 1.0)


def _fitted_weights(features: NDArray, quality: NDArray, penalty: float) -> NDArray[np.float64]:
    """Return weights, the intercept's last, that minimise penalty · log loss + |weights|² / 2, by Newton's method."""
    weights = np.zeros(features.shape[1] + 1)
    if quality.min() == quality.max() and quality.min() in (0.0, 1.0):
        weights[-1] = np.log(quality.sum() + 1) - np.log((1 - quality).sum() + 1)
        return weights
    points = np.column_stack([features, np.ones(len(features))])
    penalised = np.append(np.ones(features.shape[1]), 0.0)  # all but the intercept
    loss = _loss(weights, points, quality, penalty)
    for _ in range(_STEPS):
        predicted = expit(points @ weights)
        gradient = penalty * ((predicted - quality) @ points) + penalised * weights
        hessian = (points.T * (penalty * predicted * (1 - predicted))) @ points + np.diag(penalised + 1e-10)
        step, length = np.linalg.solve(hessian, gradient), 1.0
        if np.abs(gradient).max() < _SMALL_GRADIENT:
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


def _one_thread() -> AbstractContextManager:
    """Return a context with one OpenMP thread: with few tasks, more threads only wait for each other."""
    return _thread_pools().limit(limits=1, user_api="openmp")


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()  # inspects all loaded libraries, which takes time, so only once
