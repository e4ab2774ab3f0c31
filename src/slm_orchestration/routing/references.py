"""Reference strategies that every strategy is compared with; some know the domain or the outcomes (privileged)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.rules import GUESS, Choices
from slm_orchestration.routing.strategy import relative_cost
from slm_orchestration.statistics.curves import upper_hull
from slm_orchestration.statistics.strategy_matrix import constant

_NO_THRESHOLD = np.array([np.nan])


@dataclass(frozen=True)
class Constant:
    """One strategy per model of the pool, which calls it on every task: always_<model>."""

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> Constant:
        return self

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        return {
            constant(model): one_model_each(np.full((1, len(outcomes)), index), len(outcomes.models), _NO_THRESHOLD)
            for index, model in enumerate(outcomes.models)
        }


@dataclass(frozen=True)
class Guess:
    """The zero-cost answer: the majority label of choice tasks, the empty answer otherwise."""

    reads: ClassVar[frozenset[str]] = frozenset({"guess"})

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> Guess:
        return self

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        return {"guess": one_model_each(np.full((1, len(outcomes)), GUESS), len(outcomes.models), _NO_THRESHOLD)}


@dataclass(frozen=True)
class Oracle:
    """The model of the highest recorded quality per task, ties to the cheaper: the upper bound for one call."""

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> Oracle:
        return self

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        best = outcomes.quality.argmax(axis=1)
        return {"oracle": one_model_each(best[None], len(outcomes.models), _NO_THRESHOLD)}


@dataclass(frozen=True)
class PermutedOracle:
    """The oracle after shuffling each model's outcomes within each dataset: how much of the oracle's quality is luck.

    After shuffling, the models' qualities on a task are independent within a dataset, so that the oracle only gains
    from taking the maximum of several draws.
    """

    seed: int

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> PermutedOracle:
        return self

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        datasets, rng = outcomes.tasks["dataset"].to_numpy(), np.random.default_rng(self.seed)
        permutation = np.empty(outcomes.quality.shape, dtype=np.intp)
        for name in np.unique(datasets):
            rows = np.flatnonzero(datasets == name)
            permutation[rows] = np.column_stack([rng.permutation(rows) for _ in outcomes.models])
        best = np.take_along_axis(outcomes.quality, permutation, axis=0).argmax(axis=1)
        choices = one_model_each(best[None], len(outcomes.models), _NO_THRESHOLD)
        return {"oracle_permuted": replace(choices, permutation=permutation)}


def mixture_models(calibration: OutcomeMatrix) -> list[int]:
    """Return the models at the mixture's vertices, cheapest first: those on the upper hull of guess and all models.

    A model below the line from guess to a more expensive model is no vertex, as mixing these two is better at its cost.
    Guess costs nothing and is the first vertex, which is not listed; the list is empty where no model is better. Where
    no answer without a model is known, or cost is counted in calls, the hull is that of the models alone.
    """
    cost, quality = calibration.cost_usd.mean(axis=0), calibration.quality.mean(axis=0)
    guessed = float(calibration.tasks["guess_quality"].mean(skipna=False))
    if np.isnan(guessed) or calibration.cost_unit == "calls":
        return upper_hull(cost, quality)
    return [vertex - 1 for vertex in upper_hull(np.append(0.0, cost), np.append(guessed, quality)) if vertex > 0]


@dataclass(frozen=True)
class Mixture:
    """Random mixing along the upper hull of the constants, whose vertices and weights come from calibration tasks.

    Threshold t has the expected cost (1 - t)·(most expensive vertex) + t·(cheapest vertex). Without `whole_hull`, the
    vertices are the ends of the pool.
    """

    name: str
    seed: int
    whole_hull: bool = True

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedMixture:
        cost = calibration.cost_usd.mean(axis=0)
        vertices = (mixture_models(calibration) or [0]) if self.whole_hull else [0, len(cost) - 1]
        return FittedMixture(self.name, self.seed, tuple(vertices), cost[vertices])


@dataclass(frozen=True)
class FittedMixture:
    """Hull vertices as indices into the pool, with their mean costs."""

    name: str
    seed: int
    vertices: tuple[int, ...]
    cost_usd: NDArray[np.float64]

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Draw a model per task; each task has one uniform draw for all thresholds, so that cost falls as t grows."""
        thresholds = np.asarray(thresholds, dtype=float)
        uniform = np.random.default_rng(self.seed).random(len(outcomes))
        target = (1 - thresholds) * self.cost_usd[-1] + thresholds * self.cost_usd[0]
        position = np.interp(target, self.cost_usd, np.arange(len(self.vertices)))
        lower = np.floor(position).astype(int)
        step = (uniform[None, :] < (position - lower)[:, None]).astype(int)
        chosen = np.asarray(self.vertices)[np.minimum(lower[:, None] + step, len(self.vertices) - 1)]
        return {self.name: one_model_each(chosen, len(outcomes.models), thresholds)}


@dataclass(frozen=True)
class DomainTableGiven:
    """The model of the largest (1 - t)·(mean quality in the domain) - t·cost; knows the domain (privileged).

    Means are over calibration tasks; a domain without any gets the means over all of them.
    """

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedDomainTable:
        domains = calibration.tasks["domain"].to_numpy()
        rows = {domain: calibration.quality[domains == domain].mean(axis=0) for domain in np.unique(domains)}
        return FittedDomainTable(rows, calibration.quality.mean(axis=0), relative_cost(fit))


@dataclass(frozen=True)
class FittedDomainTable:
    """Mean quality per model in each domain and overall, and relative costs."""

    rows: dict[str, NDArray[np.float64]]
    overall: NDArray[np.float64]
    relative_cost: NDArray[np.float64]

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        thresholds = np.asarray(thresholds, dtype=float)
        quality = np.array([self.rows.get(domain, self.overall) for domain in outcomes.tasks["domain"]])
        weight = thresholds[:, None, None]
        chosen = ((1 - weight) * quality - weight * self.relative_cost).argmax(axis=2)
        return {"domain_table_given": one_model_each(chosen, len(outcomes.models), thresholds)}


def one_model_each(chosen: NDArray[np.intp], models: int, thresholds: NDArray[np.float64]) -> Choices:
    """Return choices that call one model per task, or none where `chosen` (thresholds × tasks) is GUESS."""
    return Choices(
        thresholds=thresholds,
        called=chosen[:, :, None] == np.arange(models),
        served=chosen.astype(np.intp),
        predictions=np.zeros(chosen.shape, dtype=np.intp),
    )
