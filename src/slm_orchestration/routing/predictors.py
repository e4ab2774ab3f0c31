"""Predictors of every model's quality from the points of `features.WideVectors`; the adaptive router combines them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from slm_orchestration.routing.features import FEATURES, unit_length
from slm_orchestration.routing.quality_model import QualityModel
from slm_orchestration.statistics.grid import STEP, on_grid

Floats = NDArray[np.float64]


class Predictor(Protocol):
    """Predicts tasks × models from points (tasks × columns of WideVectors)."""

    def fit(self, points: Floats, quality: Floats, groups: NDArray) -> Self:
        """Fit on points, `quality` (tasks × models) and the group of each task."""
        ...

    def predict(self, points: Floats) -> Floats:
        """Return tasks × models in [0, 1]."""
        ...


@dataclass
class PerModel:
    """A copy of `regression` per model, on the features and the first `dimensions` of latent semantics."""

    regression: QualityModel
    dimensions: int

    def fit(self, points: Floats, quality: Floats, groups: NDArray) -> Self:
        """Fit a regression per model."""
        seen = points[:, : len(FEATURES) + self.dimensions]
        self._fitted = [copy.deepcopy(self.regression).fit(seen, column, groups) for column in quality.T]
        return self

    def predict(self, points: Floats) -> Floats:
        """Return tasks × models in [0, 1]."""
        seen = points[:, : len(FEATURES) + self.dimensions]
        return np.column_stack([regression.predict(seen) for regression in self._fitted])


@dataclass
class Forest:
    """Extremely randomised trees (Geurts et al. 2006) of all models' qualities together.

    They read the features and the first `dimensions` of latent semantics, a share `columns` of them at each split, and
    a leaf holds at least `leaf_tasks` fit tasks. On the grid, equal points fall into equal leaves on every machine.
    """

    trees: int
    leaf_tasks: int
    columns: float
    dimensions: int
    seed: int

    def fit(self, points: Floats, quality: Floats, groups: NDArray) -> Self:
        """Fit the trees, in one thread, so that their order is the same every time."""
        forest = ExtraTreesRegressor(
            self.trees, min_samples_leaf=self.leaf_tasks, max_features=self.columns, random_state=self.seed, n_jobs=1
        )
        fitted = forest.fit(self._seen(points), quality)
        self._trees, self._width = [tree.tree_ for tree in fitted.estimators_], quality.shape[1]
        return self

    def predict(self, points: Floats) -> Floats:
        """Return tasks × models in [0, 1]."""
        seen, found = self._seen(points), np.zeros((len(points), self._width))
        for tree in self._trees:  # the compiled trees, without what scikit-learn adds to each call
            found += tree.predict(seen).reshape(found.shape)
        return np.clip(found / len(self._trees), 0.0, 1.0)

    def _seen(self, points: Floats) -> NDArray[np.float32]:
        return np.ascontiguousarray(points[:, : len(FEATURES) + self.dimensions], dtype=np.float32)


@dataclass
class Kinds:
    """Clusters of requests and each one's mean quality; a request gets those of the clusters near it.

    k-means on the directions of the first `dimensions`; without `kinds`, one cluster per 8 fit tasks, at most 300. A
    request belongs to a cluster with a weight proportional to exp(-distance²/`softness`). The table of qualities is
    shrunk towards the overall means as if `shrinkage` more tasks had these.
    """

    kinds: int | None
    dimensions: int
    seed: int
    softness: float = 0.05
    shrinkage: float = 3.0

    def fit(self, points: Floats, quality: Floats, groups: NDArray) -> Self:
        """Fit the clusters on points alone, then the table of mean quality."""
        directions = _directions(points, self.dimensions)
        count = self.kinds or max(2, min(300, len(points) // 8))
        self.centres = k_means(directions, min(count, len(points)), seed=self.seed)
        weights, means = self.weights(points), quality.mean(axis=0)
        self.sizes = weights.sum(axis=0)
        self.table = (weights.T @ quality + self.shrinkage * means) / (self.sizes + self.shrinkage)[:, None]
        return self

    def weights(self, points: Floats) -> Floats:
        """Return how much each task belongs to each kind, tasks × kinds; rows sum to 1."""
        distance = _squared_distances(_directions(points, self.dimensions), self.centres)
        near = np.exp((distance.min(axis=1, keepdims=True) - distance) / self.softness)
        return np.asarray(near / near.sum(axis=1, keepdims=True))

    def predict(self, points: Floats) -> Floats:
        """Return tasks × models in [0, 1]."""
        return np.clip(self.weights(points) @ self.table, 0.0, 1.0)


def k_means(points: Floats, count: int, *, seed: int, rounds: int = 30) -> Floats:
    """Return `count` centres by Lloyd's algorithm from k-means++ (Arthur & Vassilvitskii 2007), count × dimensions.

    Points and centres are on the grid, so that distances are exact, and every machine finds the same centres: ties go
    to the earlier centre, and a centre without points stays where it was.
    """
    if not points.shape[1]:  # no word occurs twice: all points are the same
        return points[:1]
    rng = np.random.default_rng(seed)
    chosen = [int(rng.integers(len(points)))]
    distance = _squared_distances(points, points[chosen])[:, 0]
    while len(chosen) < count:
        # Whole numbers, so that sums are exact; where all points are centres already, any point will do.
        total = np.cumsum(distance / STEP**2)
        place = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
        chosen.append(min(place, len(points) - 1))
        distance = np.minimum(distance, _squared_distances(points, points[chosen[-1:]])[:, 0])
    centres, nearest = points[chosen].copy(), np.full(len(points), -1)
    for _ in range(rounds):
        before, nearest = nearest, _squared_distances(points, centres).argmin(axis=1)
        if (nearest == before).all():
            break
        sizes = np.bincount(nearest, minlength=count)
        # Sums of grid points are exact in any order.
        sums = np.stack([np.bincount(nearest, column, minlength=count) for column in points.T], axis=1)
        used = sizes > 0
        centres[used] = on_grid(sums[used] / sizes[used, None])
    return centres


def _directions(points: Floats, dimensions: int) -> Floats:
    """Return the first dimensions of latent semantics as points of length 1, on the grid."""
    return unit_length(points[:, len(FEATURES) : len(FEATURES) + dimensions])


def _squared_distances(points: Floats, centres: Floats) -> Floats:
    """Return squared distances, points × centres; exact for points on the grid."""
    a, b = points / STEP, centres / STEP  # whole numbers
    squares = (a**2).sum(axis=1)[:, None] - 2 * (a @ b.T) + (b**2).sum(axis=1)
    return np.asarray(squares * STEP**2)
