"""Quality predicted from the prompt by one regression per model: logistic or gradient-boosted."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import ThreadpoolController

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.router import training


class Regression(Protocol):
    """Predicts a quality in [0, 1] from features."""

    def fit(self, features: NDArray[np.float64], quality: NDArray[np.float64], groups: NDArray) -> Self: ...

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]: ...


@dataclass
class RegressionRouter:
    """One regression per model on the prompt's vectors."""

    vectors: Vectors
    regression: Regression
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the vectors, then a copy of the regression for each model."""
        seen = training(outcomes)
        features = self.vectors.fit(seen.prompts).transform(seen.prompts)
        self._fitted = [
            copy.deepcopy(self.regression).fit(features, quality, seen.groups) for quality in seen.quality.T
        ]
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        features = self.vectors.transform(prompts["prompt"])
        return np.column_stack([regression.predict(features) for regression in self._fitted])


@dataclass
class BoostedTrees:
    """Histogram gradient boosting on squared error, kept small: fit tasks are few."""

    trees: int
    learning_rate: float
    leaf_tasks: int
    seed: int

    def fit(self, features: NDArray[np.float64], quality: NDArray[np.float64], groups: NDArray) -> Self:
        """Fit on tasks × features; groups are not needed, since nothing is tuned."""
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


def _one_thread() -> AbstractContextManager:
    """Return a context with one thread: for so few tasks, several only wait for each other."""
    return _thread_pools().limit(limits=1, user_api="openmp")


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries, once
