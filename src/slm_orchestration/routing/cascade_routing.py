"""Cascade routing: at every step the best plan of further calls, be it one model, several, or none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from slm_orchestration.routing import walk
from slm_orchestration.routing.walk import STOP, Called, Choices, Floats, Options, Predict, Terms
from slm_orchestration.statistics.grid import on_grid


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

    def choose(self, predict: Predict, terms: Terms, thresholds: Floats) -> Choices:
        """Return choices for all thresholds."""
        return walk.choose(self, predict, terms, thresholds)

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
