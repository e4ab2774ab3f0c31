"""Reference strategies that every strategy is compared with; some read the domain or the outcomes (privileged)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Overhead, Replayed, replay
from slm_orchestration.routing.rules import GUESS, Choices
from slm_orchestration.routing.strategy import relative_cost
from slm_orchestration.statistics.curves import upper_hull
from slm_orchestration.statistics.strategy_matrix import constant

_NO_THRESHOLD = np.array([np.nan])


@dataclass(frozen=True)
class Constant:
    """One strategy per model of the pool, which calls it on every task: always_<model>."""

    reads: ClassVar[frozenset[str]] = frozenset()

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

    reads: ClassVar[frozenset[str]] = frozenset({"quality"})

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> Oracle:
        return self

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        best = outcomes.quality.argmax(axis=1)
        return {"oracle": one_model_each(best[None], len(outcomes.models), _NO_THRESHOLD)}


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

    Threshold t has the expected cost (1 - t)·(most expensive vertex) + t·(cheapest vertex). Nothing is drawn: replay
    takes expectations. Without `whole_hull`, the vertices are the ends of the pool.
    """

    name: str
    whole_hull: bool = True
    reads: ClassVar[frozenset[str]] = frozenset()

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedMixture:
        cost = calibration.cost_usd.mean(axis=0)
        vertices = (mixture_models(calibration) or [0]) if self.whole_hull else [0, len(cost) - 1]
        return FittedMixture(self.name, tuple(vertices), cost[vertices])


@dataclass(frozen=True)
class FittedMixture:
    """Hull vertices as indices into the pool, with their mean costs."""

    name: str
    vertices: tuple[int, ...]
    cost_usd: NDArray[np.float64]

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Return the probability of each model, the same for all tasks."""
        thresholds = np.asarray(thresholds, dtype=float)
        target = (1 - thresholds) * self.cost_usd[-1] + thresholds * self.cost_usd[0]
        shares = np.zeros((len(thresholds), len(outcomes.models)))
        for place, vertex in enumerate(self.vertices):
            shares[:, vertex] = np.interp(target, self.cost_usd, np.eye(len(self.vertices))[place])
        return {self.name: drawn_at_random(np.repeat(shares[:, None], len(outcomes), axis=1), thresholds)}


@dataclass(frozen=True)
class DomainTableGiven:
    """The model of the largest (1 - t)·(mean quality in the domain) - t·cost; is told the domain (privileged).

    Means are over fit tasks, and the threshold is chosen on calibration tasks, as of every strategy. A domain without
    fit tasks gets the means over all of them.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"domain"})

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedDomainTable:
        domains = fit.tasks["domain"].to_numpy()
        rows = {domain: fit.quality[domains == domain].mean(axis=0) for domain in np.unique(domains)}
        return FittedDomainTable(rows, fit.quality.mean(axis=0), relative_cost(fit))


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


def most_expensive_always(strategy: str, outcomes: OutcomeMatrix) -> Replayed:
    """Return the replay of a strategy that had no certified threshold: it calls the most expensive model on every task.

    Its router is not asked and not paid.
    """
    choices = one_model_each(np.full((1, len(outcomes)), len(outcomes.models) - 1), len(outcomes.models), _NO_THRESHOLD)
    return replay(strategy, choices, outcomes, overhead=Overhead())


def drawn_at_random(shares: NDArray[np.float64], thresholds: NDArray[np.float64]) -> Choices:
    """Return choices that call one model per task with the probabilities `shares`, thresholds × tasks × models."""
    likeliest = shares.argmax(axis=2)
    nothing = np.zeros(likeliest.shape, dtype=np.intp)
    return Choices(thresholds=thresholds, called=shares > 0, served=likeliest, predictions=nothing, shares=shares)


def one_model_each(chosen: NDArray[np.intp], models: int, thresholds: NDArray[np.float64]) -> Choices:
    """Return choices that call one model per task, or none where `chosen` (thresholds × tasks) is GUESS."""
    return Choices(
        thresholds=thresholds,
        called=chosen[:, :, None] == np.arange(models),
        served=chosen.astype(np.intp),
        predictions=np.zeros(chosen.shape, dtype=np.intp),
    )
