"""Contextual bandits: strategies that learn while they serve, only from the outcomes of the models they call."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.references import one_model_each
from slm_orchestration.routing.router import fit_data
from slm_orchestration.routing.rules import Choices
from slm_orchestration.routing.strategy import relative_cost
from slm_orchestration.statistics.grid import on_grid

LINUCB, THOMPSON = "linucb", "thompson"


@dataclass
class LinearArms:
    """A ridge regression of quality per model (an arm), kept as XᵀX + ridge·I (`products`) and Xᵀy (`target`)."""

    vectors: Vectors
    ridge: float
    products: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), init=False, repr=False)
    target: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), init=False, repr=False)
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the arms on the outcomes of fit tasks, where every model was called."""
        fit = fit_data(outcomes)
        points = _with_one(self.vectors.fit(fit.prompts).transform(fit.prompts))
        products = points.T @ points + self.ridge * np.eye(points.shape[1])
        self.products = np.repeat(products[None], len(fit.models), axis=0)
        self.target = fit.quality.T @ points
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1], predicted by the arms as fitted."""
        weights = np.linalg.solve(self.products, self.target[:, :, None])[:, :, 0]
        return np.clip(self.points(prompts["prompt"]) @ weights.T, 0.0, 1.0)

    def points(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return prompts × (dimensions + 1), the last column being the intercept's 1."""
        return _with_one(self.vectors.transform(prompts))


@dataclass(frozen=True)
class Bandit:
    """LinUCB or linear Thompson sampling over the tasks as a stream, in their order, separately for each threshold t.

    The model of the largest (1 - t)·(predicted quality + bonus) - t·cost is called; its outcome, and no other, updates
    its arm. The bonus is `exploration` standard deviations of the prediction (times a normal draw in Thompson
    sampling). An outcome n tasks ago has weight memory**n, so that with `memory` below 1 an arm that was not called for
    long is tried again. Source: Li et al. 2010 (LinUCB); Agrawal & Goyal 2013 (Thompson sampling); Russac et al. 2019
    (discounting).
    """

    name: str
    kind: str
    router: LinearArms
    exploration: float
    memory: float
    seed: int

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedBandit:
        """Fit the arms on fit tasks. Raises ValueError if `kind` is unknown."""
        if self.kind not in (LINUCB, THOMPSON):
            raise ValueError(f"bandit kind {self.kind!r}: allowed is {LINUCB} or {THOMPSON}")
        arms = copy.deepcopy(self.router).fit(fit_table(fit))
        return FittedBandit(self, arms, relative_cost(fit))


@dataclass(frozen=True)
class FittedBandit:
    """Arms as fitted, before the stream; `choose` updates copies of them."""

    settings: Bandit
    router: LinearArms
    relative_cost: NDArray[np.float64]

    @property
    def name(self) -> str:
        return self.settings.name

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Serve the tasks one after the other, updating the arm that was called after each."""
        thresholds, models = np.asarray(thresholds, dtype=float), len(outcomes.models)
        points, rng = self.router.points(outcomes.prompts), np.random.default_rng(self.settings.seed)
        arms = [np.repeat(part[None], len(thresholds), axis=0) for part in (self.router.products, self.router.target)]
        chosen = np.empty((len(thresholds), len(outcomes)), dtype=np.intp)
        for task, point in enumerate(points):
            draw = np.ones(models) if self.settings.kind == LINUCB else rng.standard_normal(models)
            quality = self._optimistic_quality(arms, point, draw * self.settings.exploration)
            value = (1 - thresholds[:, None]) * quality - thresholds[:, None] * self.relative_cost
            chosen[:, task] = best = value.argmax(axis=1)
            self._update(arms, best, point, outcomes.quality[task, best])
        choices = one_model_each(chosen, models, thresholds)
        choices.predictions[:] = 1
        return {self.name: choices}

    def _optimistic_quality(self, arms: list[NDArray], point: NDArray, deviations: NDArray) -> NDArray[np.float64]:
        """Return predicted quality plus `deviations` of its standard deviations, thresholds × models."""
        products, target = arms
        sides = np.stack([target, np.broadcast_to(point, target.shape)], axis=3)
        solved = np.linalg.solve(products, sides)
        width = np.sqrt(np.maximum(point @ solved[..., 1:], 0.0))[..., 0]
        return on_grid(np.clip((point @ solved[..., :1])[..., 0] + deviations * width, 0.0, 1.0))

    def _update(self, arms: list[NDArray], called: NDArray, point: NDArray, quality: NDArray) -> None:
        """Discount every arm, and add the outcome to the arm that was called at each threshold, in place."""
        products, target = arms
        memory, runs = self.settings.memory, np.arange(len(called))
        products *= memory
        products += (1 - memory) * self.router.ridge * np.eye(len(point))
        target *= memory
        products[runs, called] += np.outer(point, point)
        target[runs, called] += quality[:, None] * point


def _with_one(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([points, np.ones(len(points))])
