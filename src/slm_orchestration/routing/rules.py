"""Rules turn predicted qualities and one threshold into choices; threshold 0 costs the most, a larger one less."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from slm_orchestration.routing.access import Called, Floats, Predict, ReadCosts
from slm_orchestration.statistics.grid import on_grid

GUESS = -1  # in place of the served model: the answer that needs no model
STOP = -1  # in place of the next model: call no further one


@dataclass(frozen=True)
class Choices:
    """What a strategy does with each task at each threshold (NaN where it has none).

    `called` is thresholds × tasks × models; `served` is the model whose answer counts, or GUESS; `predictions` is how
    often the router predicted, each of which is paid; both are thresholds × tasks. `read_costs` is paid in addition.
    `own_answers` (tasks) are answers given without a model, which replay grades, or None for the guess; only the
    classifier has some.
    `shares` (thresholds × tasks × models) is the probability of each model, where one is drawn at random: replay then
    takes expectations, `called` holds the models that may be drawn, and `served` is the likeliest. `by_stream` (streams
    × thresholds × tasks) is the model that an online strategy serves in each shuffled stream; its shares are over them.
    """

    thresholds: Floats
    called: NDArray[np.bool_]
    served: NDArray[np.intp]
    predictions: NDArray[np.intp]
    read_costs: ReadCosts | None = None
    own_answers: NDArray | None = None
    shares: Floats | None = None
    by_stream: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class PoolInfo:
    """What a rule knows of the pool.

    `relative_cost` is each model's mean cost on fit tasks over that of the most expensive one; `readable` the models
    whose answers the router reads.
    """

    relative_cost: Floats
    readable: frozenset[int]


@dataclass(frozen=True)
class Options:
    """What a rule can do after the calls made so far; at threshold t it takes the largest (1 - t)·quality - t·cost.

    `quality` is tasks × options, `cost` the same or one per option; `calls` is each option's next model, or STOP. On
    ties the first option is taken.
    """

    quality: Floats
    cost: Floats
    calls: tuple[int, ...]


class Rule(Protocol):
    """Turns predictions into choices. A state is the models called so far, in order."""

    @property
    def start(self) -> Called:
        """The models that are called whatever is predicted."""
        ...

    def calibrated(self, predict: Predict, pool: PoolInfo) -> Self:
        """Return the rule fitted on predictions for calibration tasks; most rules have nothing to fit."""
        ...

    def options(self, state: Called, quality: Floats, pool: PoolInfo) -> Options:
        """Return the options at `state`, given the predicted `quality` (tasks × models)."""
        ...

    def escalates_after(self, model: int, pool: PoolInfo) -> bool:
        """Return whether another model may be called after `model`."""
        ...

    def served(self, state: Called, quality: Floats) -> NDArray[np.intp]:
        """Return, per task, the model whose answer is served when no further one is called at `state`."""
        ...


@dataclass(frozen=True)
class Utility:
    """Call the model of the largest (1 - t)·quality - t·cost, ties to the cheaper one.

    After an answer that the router reads, qualities are predicted again: a more expensive model is called if its
    (1 - t)·quality - t·cost exceeds (1 - t)·quality of the answer, whose cost is sunk. With a router that reads no
    answers, one model is called.
    """

    start: Called = ()

    def calibrated(self, predict: Predict, pool: PoolInfo) -> Self:
        return self

    def options(self, state: Called, quality: Floats, pool: PoolInfo) -> Options:
        if not state:
            return Options(quality, pool.relative_cost, tuple(range(quality.shape[1])))
        last = state[-1]
        cost = np.concatenate([[0.0], pool.relative_cost[last + 1 :]])
        return Options(quality[:, last:], cost, (STOP, *range(last + 1, quality.shape[1])))

    def escalates_after(self, model: int, pool: PoolInfo) -> bool:
        return model in pool.readable and model < len(pool.relative_cost) - 1

    def served(self, state: Called, quality: Floats) -> NDArray[np.intp]:
        return np.full(len(quality), state[-1])


@dataclass(frozen=True)
class Cascade:
    """Call the cheapest model first; escalate to the next one while 1 - predicted quality of the answer ≥ t.

    Source: Chen et al. 2023, FrugalGPT.
    """

    start: Called = (0,)

    def calibrated(self, predict: Predict, pool: PoolInfo) -> Self:
        return self

    def options(self, state: Called, quality: Floats, pool: PoolInfo) -> Options:
        if missing := sorted(set(range(len(pool.relative_cost) - 1)) - pool.readable):
            raise ValueError(
                f"a cascade must read the answer of every model but the last; it does not read model {missing[0]}"
            )
        # Escalating has quality 1 - q and cost q, stopping 0 and 0, as (1 - t)·(1 - q) ≥ t·q is the same as 1 - q ≥ t.
        right = quality[:, state[-1]]
        zero = np.zeros_like(right)
        return Options(np.column_stack([1 - right, zero]), np.column_stack([right, zero]), (state[-1] + 1, STOP))

    def escalates_after(self, model: int, pool: PoolInfo) -> bool:
        return model < len(pool.relative_cost) - 1

    def served(self, state: Called, quality: Floats) -> NDArray[np.intp]:
        return np.full(len(quality), state[-1])


@dataclass(frozen=True)
class CascadeRouting:
    """Choose the best plan of up to `depth` further calls: expected quality of its best answer, less its cost.

    A plan's expected quality is that of the maximum of independent normal variables: the mean is a model's predicted
    quality, the standard deviation (`spread`) how far its answer moved that prediction on calibration tasks. The
    cheapest model of the best plan is called, and plans are compared again with its answer. Stopping serves the called
    model of the highest predicted quality. Plans hold only models more expensive than the last one called. `depth` 1 is
    the greedy form, a depth of the pool's size the optimal one. Source: Dekoninck, Baader & Vechev 2024, "A unified
    approach to routing and cascading for LLMs"; Clark 1961 for the moments of the maximum.
    """

    depth: int
    spread: tuple[float, ...] = field(default=(), repr=False)
    start: Called = ()

    def calibrated(self, predict: Predict, pool: PoolInfo) -> Self:
        """Set `spread`: the root mean square over tasks of how far each model's answer moves its predicted quality."""
        before = predict(())
        moved = [
            predict((model,))[:, model] - before[:, model] if model in pool.readable else np.zeros(1)
            for model in range(before.shape[1])
        ]
        return replace(
            self, spread=tuple(float(on_grid(np.sqrt(np.mean(change**2)))) if len(change) else 0.0 for change in moved)
        )

    def options(self, state: Called, quality: Floats, pool: PoolInfo) -> Options:
        plans = self._plans(state, pool)
        best = quality[:, list(state)].max(axis=1) if state else None
        expected = [self._expected(plan, quality, best) for plan in plans]
        cost = np.array([pool.relative_cost[list(plan)].sum() for plan in plans])
        calls = tuple(plan[0] for plan in plans)
        if best is None:
            return Options(np.column_stack(expected), cost, calls)
        return Options(np.column_stack([best, *expected]), np.append(0.0, cost), (STOP, *calls))

    def escalates_after(self, model: int, pool: PoolInfo) -> bool:
        return model in pool.readable

    def served(self, state: Called, quality: Floats) -> NDArray[np.intp]:
        return np.array(state)[quality[:, list(state)].argmax(axis=1)]

    def _plans(self, state: Called, pool: PoolInfo) -> list[Called]:
        """Return the sets of further models; of several, all answers must be readable to choose the best."""
        larger = range(state[-1] + 1 if state else 0, len(pool.relative_cost))
        deepest = max(1, min(self.depth, len(larger)))
        return [
            plan
            for size in range(1, deepest + 1)
            for plan in combinations(larger, size)
            if size == 1 or pool.readable.issuperset(plan)
        ]

    def _expected(self, plan: Called, quality: Floats, best: Floats | None) -> Floats:
        spread = self.spread or (0.0,) * quality.shape[1]
        mean, first_variance = (quality[:, plan[0]], spread[plan[0]] ** 2) if best is None else (best, 0.0)
        variance = np.broadcast_to(first_variance, mean.shape)
        for model in plan[1:] if best is None else plan:
            mean, variance = moments_of_maximum(mean, variance, quality[:, model], spread[model] ** 2)
        return on_grid(np.clip(mean, 0.0, 1.0))


def moments_of_maximum(mean: Floats, variance: Floats, other: Floats, other_variance: float) -> tuple[Floats, Floats]:
    """Return mean and variance of the larger of two independent normal variables (Clark 1961), per task."""
    total = np.sqrt(variance + other_variance)
    gap = np.divide(mean - other, total, out=np.where(mean >= other, np.inf, -np.inf), where=total > 0)
    share, density = ndtr(gap), np.exp(-(gap**2) / 2) / np.sqrt(2 * np.pi)
    first = mean * share + other * (1 - share) + total * density
    second = (mean**2 + variance) * share + (other**2 + other_variance) * (1 - share) + (mean + other) * total * density
    return first, np.maximum(second - first**2, 0.0)
