"""Contextual bandits: strategies that learn while they serve, only from the outcomes of the models they call.

They are online strategies. What they serve depends on the order in which tasks arrive, and they see graded feedback of
the tasks they have served, so they are measured over many shuffled streams and stand apart from strategies that learn
from fit tasks alone.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.references import drawn_at_random
from slm_orchestration.routing.router import fit_data
from slm_orchestration.routing.rules import Choices
from slm_orchestration.routing.strategy import FEEDBACK, relative_cost
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
    """LinUCB or linear Thompson sampling over `streams` shuffled orders of the tasks, separately for each threshold t.

    The model of the largest (1 - t)·(predicted quality + bonus) - t·cost is called; its outcome, and no other, updates
    its arm. The bonus is `exploration` standard deviations of the prediction (times a normal draw in Thompson
    sampling). Feedback comes after every `batch` tasks. An outcome n tasks ago has weight memory**n, so that with
    `memory` below 1 an arm that was not called for long is tried again. Source: Li et al. 2010 (LinUCB); Agrawal &
    Goyal 2013 (Thompson sampling); Russac et al. 2019 (discounting).
    """

    name: str
    kind: str
    router: LinearArms
    exploration: float
    memory: float
    seed: int
    streams: int = 40
    batch: int = 10
    reads: ClassVar[frozenset[str]] = frozenset({"prompt", FEEDBACK})

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedBandit:
        """Fit the arms on fit tasks. Raises ValueError if `kind` is unknown."""
        if self.kind not in (LINUCB, THOMPSON):
            raise ValueError(f"bandit kind {self.kind!r}: allowed is {LINUCB} or {THOMPSON}")
        arms = copy.deepcopy(self.router).fit(fit_table(fit))
        return FittedBandit(self, arms, relative_cost(fit))


@dataclass(frozen=True)
class FittedBandit:
    """Arms as fitted, before the streams; each stream updates its own copy of them."""

    settings: Bandit
    router: LinearArms
    relative_cost: NDArray[np.float64]

    @property
    def name(self) -> str:
        return self.settings.name

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Return, per task, the share of streams that called each model."""
        served = self.serve(outcomes, thresholds)
        shares = np.stack([(served == model).mean(axis=0) for model in range(len(outcomes.models))], axis=2)
        choices = drawn_at_random(shares, np.asarray(thresholds, dtype=float))
        choices.predictions[:] = 1
        return {self.name: replace(choices, by_stream=served)}

    def serve(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the model called, streams × thresholds × tasks; each stream serves the tasks in its own order."""
        streams, tasks = self.settings.streams, len(outcomes)
        orders = [np.random.default_rng([self.settings.seed, stream]).permutation(tasks) for stream in range(streams)]
        return self.serve_in_order(outcomes, np.asarray(thresholds, dtype=float), np.array(orders))

    def serve_in_order(
        self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64], orders: NDArray[np.intp]
    ) -> NDArray[np.uint8]:
        """Return the model called, streams × thresholds × tasks, where stream s serves the tasks of `orders[s]`."""
        points, rng = self.router.points(outcomes.prompts), np.random.default_rng(self.settings.seed)
        runs = (len(orders), len(thresholds))
        arms = [
            np.broadcast_to(part, (*runs, *part.shape)).copy() for part in (self.router.products, self.router.target)
        ]
        served = np.empty((*runs, len(outcomes)), dtype=np.uint8)
        stream = np.arange(len(orders))[:, None]
        for first in range(0, len(outcomes), self.settings.batch):
            task = orders[:, first : first + self.settings.batch]
            draw = np.ones((*task.shape, len(outcomes.models)))
            if self.settings.kind == THOMPSON:
                draw = np.asarray(rng.standard_normal(draw.shape))
            quality = self._optimistic_quality(arms, points[task], draw * self.settings.exploration)
            weight = thresholds[:, None, None]
            called = ((1 - weight) * quality - weight * self.relative_cost).argmax(axis=3)
            served[stream, :, task] = called.transpose(0, 2, 1)
            graded = outcomes.quality[task[:, None], called]
            self._update(arms, called, points[task], graded)
        return served

    def _optimistic_quality(self, arms: list[NDArray], points: NDArray, deviations: NDArray) -> NDArray[np.float64]:
        """Return predicted quality plus `deviations` of its standard deviations, streams × thresholds × batch × models.

        `points` is streams × batch × dimensions, `deviations` streams × batch × models.
        """
        products, target = arms
        inverse = np.linalg.inv(products)
        weights = (inverse @ target[..., None])[..., 0]
        mean = points[:, None] @ weights.swapaxes(-1, -2)
        seen = points[:, None, None]
        width = np.sqrt(np.maximum((seen @ inverse * seen).sum(axis=-1), 0.0)).swapaxes(-1, -2)
        return on_grid(np.clip(mean + deviations[:, None] * width, 0.0, 1.0))

    def _update(self, arms: list[NDArray], called: NDArray, points: NDArray, quality: NDArray) -> None:
        """Discount every arm, and add the outcomes to the arms that were called, in place.

        `called` and `quality` are streams × thresholds × batch.
        """
        products, target = arms
        dimensions = points.shape[-1]
        kept = self.settings.memory ** points.shape[1]
        products *= kept
        products += (1 - kept) * self.router.ridge * np.eye(dimensions)
        target *= kept
        mine = (called[:, :, None] == np.arange(target.shape[2])[:, None]).astype(float)
        weighted = mine[..., None] * points[:, None, None]
        products += weighted.swapaxes(-1, -2) @ points[:, None, None]
        target += ((mine * quality[:, :, None])[..., None, :] @ points[:, None, None])[..., 0, :]


def _with_one(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([points, np.ones(len(points))])
