"""Rules: predictions and one threshold in, choices out. For every rule 0 is dearest, a larger one cheaper."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from slm_orchestration.routing.access import Called, Floats, Predict, Reads
from slm_orchestration.statistics.grid import on_grid

GUESS = -1  # the served "model" of an answer without a model
STOP = -1  # the option to call no further model


@dataclass(frozen=True)
class Choices:
    """What a strategy does with each task at each threshold (NaN where it has none).

    `called` is thresholds × tasks × models; `served` is the model whose answer counts, or GUESS; `predictions` counts
    how often the router was asked, each of which is paid. `reads` is paid beside. `stand_in` (tasks × models) names the
    task whose outcome counts instead of a task's own: only a permuted reference has it.
    """

    thresholds: Floats
    called: NDArray[np.bool_]
    served: NDArray[np.intp]
    predictions: NDArray[np.intp]
    reads: Reads | None = None
    stand_in: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Terms:
    """What a rule knows of the pool: expected cost over the dearest model's, and whose answers the router reads."""

    relative_cost: Floats
    readable: frozenset[int]


@dataclass(frozen=True)
class Options:
    """What can be done at a state; on ties the first option is taken.

    `quality` is tasks × options, `cost` the same or one per option; `calls` names each option's next model, or STOP.
    """

    quality: Floats
    cost: Floats
    calls: tuple[int, ...]


class Rule(Protocol):
    """Turns predictions into choices; threshold 0 is dearest and a larger one is cheaper."""

    @property
    def start(self) -> Called:
        """The models that are called in any case."""
        ...

    def calibrated(self, predict: Predict, terms: Terms) -> Self:
        """Return the rule with what it learns from predictions on calibration tasks; most learn nothing."""
        ...

    def options(self, state: Called, quality: Floats, terms: Terms) -> Options:
        """Return the options at `state`, where the router predicts `quality` (tasks × models)."""
        ...

    def goes_on(self, model: int, terms: Terms) -> bool:
        """Return whether the router is asked again after a call of `model`."""
        ...

    def served(self, state: Called, quality: Floats) -> NDArray[np.intp]:
        """Return whose answer counts, per task, where the walk stops at `state`."""
        ...


@dataclass(frozen=True)
class Utility:
    """Call the model of the largest (1 - t)·quality - t·cost, ties to the cheaper; with new evidence, weigh going on.

    After an answer that the router reads, the served model's utility has its cost sunk: a larger model is called when
    its (1 - t)·quality - t·cost exceeds (1 - t)·quality of the answer at hand. A router that reads no answer stops
    after one call.
    """

    start: Called = ()

    def calibrated(self, predict: Predict, terms: Terms) -> Self:
        return self

    def options(self, state: Called, quality: Floats, terms: Terms) -> Options:
        if not state:
            return Options(quality, terms.relative_cost, tuple(range(quality.shape[1])))
        last = state[-1]
        cost = np.concatenate([[0.0], terms.relative_cost[last + 1 :]])
        return Options(quality[:, last:], cost, (STOP, *range(last + 1, quality.shape[1])))

    def goes_on(self, model: int, terms: Terms) -> bool:
        return model in terms.readable and model < len(terms.relative_cost) - 1

    def served(self, state: Called, quality: Floats) -> NDArray[np.intp]:
        return np.full(len(quality), state[-1])


@dataclass(frozen=True)
class Cascade:
    """Call the cheapest model first; go on to the next one when 1 - predicted quality of its answer ≥ t.

    Source: Chen et al. 2023, FrugalGPT.
    """

    start: Called = (0,)

    def calibrated(self, predict: Predict, terms: Terms) -> Self:
        return self

    def options(self, state: Called, quality: Floats, terms: Terms) -> Options:
        if missing := sorted(set(range(len(terms.relative_cost) - 1)) - terms.readable):
            raise ValueError(
                f"a cascade must read the answer of every model but the last; it does not read model {missing[0]}"
            )
        # (1 - t)·(1 - q) ≥ t·q is 1 - q ≥ t: going on gains what may be wrong and costs what may be right.
        right = quality[:, state[-1]]
        nothing = np.zeros_like(right)
        return Options(np.column_stack([1 - right, nothing]), np.column_stack([right, nothing]), (state[-1] + 1, STOP))

    def goes_on(self, model: int, terms: Terms) -> bool:
        return model < len(terms.relative_cost) - 1

    def served(self, state: Called, quality: Floats) -> NDArray[np.intp]:
        return np.full(len(quality), state[-1])


@dataclass(frozen=True)
class CascadeRouting:
    """Weigh every plan of up to `depth` further calls by the expected quality of its best answer, less its cost.

    A plan's expected quality is that of the maximum of normal variables: each model's predicted quality, uncertain by
    as much as its answer moved the prediction on calibration tasks. The cheapest model of the best plan is called;
    with its answer all plans are weighed anew. Stopping serves the called model of the highest predicted quality.
    Only dearer models than the last one follow. `depth` 1 is the greedy form, and a depth of the pool's size the
    optimal one. Source: Dekoninck, Baader & Vechev 2024, "A unified approach to routing and cascading for LLMs";
    Clark 1961 for the moments of the maximum.
    """

    depth: int
    spread: tuple[float, ...] = field(default=(), repr=False)
    start: Called = ()

    def calibrated(self, predict: Predict, terms: Terms) -> Self:
        """Note how far each model's answer moves its predicted quality, as a root mean square over tasks."""
        before = predict(())
        moved = [
            predict((model,))[:, model] - before[:, model] if model in terms.readable else np.zeros(1)
            for model in range(before.shape[1])
        ]
        return replace(
            self, spread=tuple(float(on_grid(np.sqrt(np.mean(change**2)))) if len(change) else 0.0 for change in moved)
        )

    def options(self, state: Called, quality: Floats, terms: Terms) -> Options:
        plans = self._plans(state, terms)
        best = quality[:, list(state)].max(axis=1) if state else None
        expected = [self._expected(plan, quality, best) for plan in plans]
        cost = np.array([terms.relative_cost[list(plan)].sum() for plan in plans])
        calls = tuple(plan[0] for plan in plans)
        if best is None:
            return Options(np.column_stack(expected), cost, calls)
        return Options(np.column_stack([best, *expected]), np.append(0.0, cost), (STOP, *calls))

    def goes_on(self, model: int, terms: Terms) -> bool:
        return model in terms.readable

    def served(self, state: Called, quality: Floats) -> NDArray[np.intp]:
        return np.array(state)[quality[:, list(state)].argmax(axis=1)]

    def _plans(self, state: Called, terms: Terms) -> list[Called]:
        """Return the sets of further models; unless the answers of all but one are read, there is nothing to choose."""
        larger = range(state[-1] + 1 if state else 0, len(terms.relative_cost))
        deepest = max(1, min(self.depth, len(larger)))
        return [
            plan
            for size in range(1, deepest + 1)
            for plan in combinations(larger, size)
            if size == 1 or terms.readable.issuperset(plan)
        ]

    def _expected(self, plan: Called, quality: Floats, best: Floats | None) -> Floats:
        spread = self.spread or (0.0,) * quality.shape[1]
        mean, variance = (quality[:, plan[0]], spread[plan[0]] ** 2) if best is None else (best, 0.0)
        spent = np.broadcast_to(variance, mean.shape)
        for model in plan[1:] if best is None else plan:
            mean, spent = larger_of(mean, spent, quality[:, model], spread[model] ** 2)
        return on_grid(np.clip(mean, 0.0, 1.0))


def larger_of(mean: Floats, variance: Floats, other: Floats, other_variance: float) -> tuple[Floats, Floats]:
    """Return mean and variance of the larger of two independent normal variables, per task."""
    total = np.sqrt(variance + other_variance)
    gap = np.divide(mean - other, total, out=np.where(mean >= other, np.inf, -np.inf), where=total > 0)
    share, density = ndtr(gap), np.exp(-(gap**2) / 2) / np.sqrt(2 * np.pi)
    first = mean * share + other * (1 - share) + total * density
    second = (mean**2 + variance) * share + (other**2 + other_variance) * (1 - share) + (mean + other) * total * density
    return first, np.maximum(second - first**2, 0.0)
