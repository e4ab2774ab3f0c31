"""Rules: predictions and one threshold in, choices out, vectorised over thresholds.

A rule asks `predict(called)` for the predicted quality of every model, tasks × models, once it has the answers of the
models in `called` (indices into the pool, in the order of the calls; empty before the first call). For every rule
threshold 0 is dearest and a larger one is cheaper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Called = tuple[int, ...]
Predict = Callable[[Called], NDArray[np.float64]]

GUESS = -1  # the served "model" of an answer without a model


@dataclass(frozen=True)
class Choices:
    """What a strategy does with each task at each threshold (NaN where it has none).

    `thresholds` has one per row, or one per row and task. `called` is thresholds × tasks × models; `served` is the
    model whose answer counts, or GUESS; `predictions` counts how often the router was asked, each of which is paid.
    """

    thresholds: NDArray[np.float64]
    called: NDArray[np.bool_]
    served: NDArray[np.intp]
    predictions: NDArray[np.intp]


@dataclass(frozen=True)
class Terms:
    """What a rule knows of the pool: expected cost over the dearest model's, and whose answers the router reads."""

    relative_cost: NDArray[np.float64]
    readable: frozenset[int]


class Rule(Protocol):
    """Turns predictions into choices."""

    def choose(self, predict: Predict, terms: Terms, thresholds: NDArray[np.float64]) -> Choices:
        """Return choices for all thresholds.

        Thresholds are shared by all tasks (one dimension) or are each task's own (thresholds × tasks).
        """
        ...

    def breakpoints(self, predict: Predict, terms: Terms) -> NDArray[np.float64]:
        """Return, per task, all thresholds in [0, 1] at which its choice may change: breakpoints × tasks."""
        ...


@dataclass(frozen=True)
class Utility:
    """Call the model of the largest (1 - t)·quality - t·cost, ties to the cheaper; with new evidence, weigh going on.

    After an answer that the router reads, the served model's utility has its cost sunk: a larger model is called when
    its (1 - t)·quality - t·cost exceeds (1 - t)·quality of the answer at hand. A router that reads no answer stops
    after one call. Source of the sequential form: Dekoninck et al. 2024, cascade routing, greedy.
    """

    def choose(self, predict: Predict, terms: Terms, thresholds: NDArray[np.float64]) -> Choices:
        tasks, models = predict(()).shape
        choices = _nothing_called(thresholds, tasks, models)
        weight = _per_task(thresholds)[:, :, None]
        frontier: dict[Called, NDArray[np.bool_]] = {(): np.ones((len(thresholds), tasks), dtype=bool)}
        while frontier:
            state, here = frontier.popitem()
            quality = predict(state)
            choices.predictions[here] += 1
            value = (1 - weight) * quality - weight * terms.relative_cost
            best, going_on = _best_larger(
                value, state, (1 - weight[:, :, 0]) * quality[:, state[-1]] if state else None
            )
            for model in range(models):
                chosen = here & going_on & (best == model)
                if not chosen.any():
                    continue
                choices.called[chosen, model] = True
                choices.served[chosen] = model
                if model in terms.readable and model < models - 1:
                    frontier[(*state, model)] = chosen
        return choices

    def breakpoints(self, predict: Predict, terms: Terms) -> NDArray[np.float64]:
        models = len(terms.relative_cost)
        crossings: list[NDArray[np.float64]] = []
        states: list[Called] = [()]
        while states:
            state = states.pop()
            quality, larger = predict(state), range(state[-1] + 1 if state else 0, models)
            crossings += [
                _crossing(quality[:, b] - quality[:, a], terms.relative_cost[b] - terms.relative_cost[a])
                for a, b in combinations(larger, 2)
            ]
            if state:  # going on to b against stopping, whose cost is sunk
                crossings += [_crossing(quality[:, b] - quality[:, state[-1]], terms.relative_cost[b]) for b in larger]
            states += [(*state, model) for model in larger if model in terms.readable and model < models - 1]
        return np.array(crossings)


@dataclass(frozen=True)
class Cascade:
    """Call the cheapest model first; go on to the next one when 1 - predicted quality of its answer ≥ t.

    Source: Chen et al. 2023, FrugalGPT.
    """

    def choose(self, predict: Predict, terms: Terms, thresholds: NDArray[np.float64]) -> Choices:
        models = len(terms.relative_cost)
        if missing := sorted(set(range(models - 1)) - terms.readable):
            raise ValueError(
                f"a cascade must read the answer of every model but the last; it does not read model {missing[0]}"
            )
        state: Called = (0,)
        quality = predict(state)
        choices = _nothing_called(thresholds, len(quality), models)
        choices.called[:, :, 0] = True
        choices.served[:] = 0
        here = np.ones(choices.served.shape, dtype=bool)
        for model in range(models - 1):
            choices.predictions[here] += 1
            here = here & (1 - quality[:, model] >= _per_task(thresholds))
            choices.called[here, model + 1] = True
            choices.served[here] = model + 1
            state = (*state, model + 1)
            if model + 1 < models - 1:
                quality = predict(state)
        return choices

    def breakpoints(self, predict: Predict, terms: Terms) -> NDArray[np.float64]:
        stages = range(len(terms.relative_cost) - 1)
        return np.array([1 - predict(tuple(range(stage + 1)))[:, stage] for stage in stages])


def _nothing_called(thresholds: NDArray, tasks: int, models: int) -> Choices:
    shape = (len(thresholds), tasks)
    return Choices(
        thresholds=thresholds,
        called=np.zeros((*shape, models), dtype=bool),
        served=np.full(shape, GUESS, dtype=np.intp),
        predictions=np.zeros(shape, dtype=np.intp),
    )


def _per_task(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    return thresholds[:, None] if thresholds.ndim == 1 else thresholds


def _crossing(gain: NDArray[np.float64], price: float) -> NDArray[np.float64]:
    """Return the t at which (1 - t)·gain = t·price, the dearer choice being better below it; 0 where it never is."""
    gain = np.maximum(gain, 0.0)
    total = gain + max(price, 0.0)
    return np.divide(gain, total, out=np.where(gain > 0, 1.0, 0.0), where=total > 0)


def _best_larger(value: NDArray, state: Called, stopping: NDArray | None) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the best model above the last one called, and where it beats stopping (always, before the first call)."""
    if stopping is None:
        best = value.argmax(axis=2)
        return best, np.ones(best.shape, dtype=bool)
    allowed = value.copy()
    allowed[:, :, : state[-1] + 1] = -np.inf
    best = allowed.argmax(axis=2)
    return best, np.take_along_axis(allowed, best[:, :, None], axis=2)[:, :, 0] > stopping
