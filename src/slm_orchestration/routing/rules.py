"""Rules: predictions and one threshold in, choices out. For every rule 0 is dearest, a larger one cheaper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing import walk
from slm_orchestration.routing.walk import GUESS, STOP, Called, Choices, Floats, Options, Predict, Rule, Terms

__all__ = ["GUESS", "STOP", "Called", "Cascade", "Choices", "Options", "Predict", "Rule", "Terms", "Utility"]


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

    def choose(self, predict: Predict, terms: Terms, thresholds: Floats) -> Choices:
        """Return choices for all thresholds."""
        return walk.choose(self, predict, terms, thresholds)


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

    def choose(self, predict: Predict, terms: Terms, thresholds: Floats) -> Choices:
        """Return choices for all thresholds."""
        return walk.choose(self, predict, terms, thresholds)
