"""A small regression from features to quality in [0, 1], shared by the fitted routers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

_FOLDS = 5


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


def _fitted(features: NDArray, quality: NDArray, penalty: float) -> LogisticRegression | float:
    smoothed = float((quality.sum() + 1) / (len(quality) + 2))
    weights = np.concatenate([quality, 1 - quality])
    labels = np.repeat([1, 0], len(quality))
    kept = weights > 0
    if len(np.unique(labels[kept])) < 2:
        return smoothed
    model = LogisticRegression(C=penalty, max_iter=2000)
    return model.fit(np.concatenate([features, features])[kept], labels[kept], sample_weight=weights[kept])


def _predict(model: LogisticRegression | float, features: NDArray) -> NDArray[np.float64]:
    if isinstance(model, float):
        return np.full(len(features), model)
    return np.clip(model.predict_proba(features)[:, 1], 1e-6, 1 - 1e-6)
