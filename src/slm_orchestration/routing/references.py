"""The trivial references that every strategy stands beside. They may look at what no router may."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.rules import GUESS, Choices
from slm_orchestration.routing.strategy import relative_cost

_NO_THRESHOLD = np.array([np.nan])


@dataclass(frozen=True)
class Constant:
    """Every model of the pool on every task, each a strategy of its own: always_<model>."""

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> Constant:
        return self

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        return {
            f"always_{model}": one_model_each(np.full((1, len(outcomes)), index), len(outcomes.models), _NO_THRESHOLD)
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
    """The best model per task, known afterwards; ties to the cheaper. No router can do better with one call."""

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> Oracle:
        return self

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        best = outcomes.quality.argmax(axis=1)
        return {"oracle": one_model_each(best[None], len(outcomes.models), _NO_THRESHOLD)}


@dataclass(frozen=True)
class PermutedOracle:
    """The oracle after shuffling each model's outcomes within each dataset: how much of the oracle is luck.

    What a model got right then tells nothing of which tasks others got right, so all that is left is choosing the
    luckiest of several draws.
    """

    seed: int

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> PermutedOracle:
        return self

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        datasets, rng = outcomes.tasks["dataset"].to_numpy(), np.random.default_rng(self.seed)
        stand_in = np.empty(outcomes.quality.shape, dtype=np.intp)
        for name in np.unique(datasets):
            rows = np.flatnonzero(datasets == name)
            stand_in[rows] = np.column_stack([rng.permutation(rows) for _ in outcomes.models])
        best = np.take_along_axis(outcomes.quality, stand_in, axis=0).argmax(axis=1)
        choices = one_model_each(best[None], len(outcomes.models), _NO_THRESHOLD)
        return {"oracle_permuted": replace(choices, stand_in=stand_in)}


@dataclass(frozen=True)
class Mixture:
    """Random mixing along the upper hull of the constants, whose vertices and weights come from calibration tasks.

    Threshold t aims at the mean cost (1 - t)·dearest vertex + t·cheapest vertex.
    """

    name: str
    seed: int
    whole_hull: bool = True

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedMixture:
        cost, quality = calibration.cost_usd.mean(axis=0), calibration.quality.mean(axis=0)
        vertices = upper_hull(cost, quality) if self.whole_hull else [0, len(cost) - 1]
        return FittedMixture(self.name, self.seed, tuple(vertices), cost[vertices])


@dataclass(frozen=True)
class FittedMixture:
    """Hull vertices as indices into the pool, with their mean costs."""

    name: str
    seed: int
    vertices: tuple[int, ...]
    cost_usd: NDArray[np.float64]

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Draw a model per task, with the same uniform draw at every threshold so that cost falls as t grows."""
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
    """The mean quality of each model per domain on calibration tasks, the domain told: privileged, a reference line.

    Chosen by utility; at threshold 0 that is the best model per domain. A domain without calibration tasks gets the
    means over all of them.
    """

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedDomainTable:
        domains = calibration.tasks["domain"].to_numpy()
        rows = {domain: calibration.quality[domains == domain].mean(axis=0) for domain in np.unique(domains)}
        return FittedDomainTable(rows, calibration.quality.mean(axis=0), relative_cost(fit))


@dataclass(frozen=True)
class FittedDomainTable:
    """Mean quality per model of each domain, of all domains, and relative costs."""

    rows: dict[str, NDArray[np.float64]]
    overall: NDArray[np.float64]
    relative_cost: NDArray[np.float64]

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        thresholds = np.asarray(thresholds, dtype=float)
        quality = np.array([self.rows.get(domain, self.overall) for domain in outcomes.tasks["domain"]])
        weight = thresholds[:, None, None]
        chosen = ((1 - weight) * quality - weight * self.relative_cost).argmax(axis=2)
        return {"domain_table_given": one_model_each(chosen, len(outcomes.models), thresholds)}


def upper_hull(cost: NDArray[np.float64], quality: NDArray[np.float64]) -> list[int]:
    """Return the vertices of the upper hull of points (cost, quality), cheapest first, up to the best quality.

    No vertex is dearer than one of at least its quality, so mixing along the hull never pays for less.
    """
    hull: list[int] = []
    for point in np.lexsort((-quality, cost)):
        if hull and quality[point] <= quality[hull[-1]]:
            continue
        while len(hull) >= 2 and not _right_turn(hull[-2], hull[-1], point, cost, quality):
            hull.pop()
        hull.append(int(point))
    return hull


def one_model_each(chosen: NDArray[np.intp], models: int, thresholds: NDArray[np.float64]) -> Choices:
    """Return choices that call one model per task, or none where `chosen` (thresholds × tasks) is GUESS."""
    return Choices(
        thresholds=thresholds,
        called=chosen[:, :, None] == np.arange(models),
        served=chosen.astype(np.intp),
        predictions=np.zeros(chosen.shape, dtype=np.intp),
    )


def _right_turn(a: int, b: int, c: int, cost: NDArray, quality: NDArray) -> bool:
    return (cost[b] - cost[a]) * (quality[c] - quality[a]) < (quality[b] - quality[a]) * (cost[c] - cost[a])
