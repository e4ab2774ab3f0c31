"""A strategy is a router with a rule: fitted on fit and calibration tasks, it chooses models at every threshold."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing import sweep
from slm_orchestration.routing.access import Predict, ReadCosts, fit_table, guarded, read_costs, readable_answers
from slm_orchestration.routing.outcome_matrix import REQUEST, OutcomeMatrix
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.router import Router, Tunable
from slm_orchestration.routing.rules import Choices, PoolInfo, Rule
from slm_orchestration.routing.sweep import Changes, Piece


class Strategy(Protocol):
    """Chooses models for tasks. References, which may look at more than a router, have the same form."""

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedStrategy:
        """Return the strategy fitted on fit tasks; settings are chosen on calibration tasks."""
        ...


class FittedStrategy(Protocol):
    """A strategy that can choose."""

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Return the choices of each strategy by its name; most have one name, `constant` has one per model."""
        ...


@dataclass(frozen=True)
class RoutedStrategy:
    """A router with a rule; `view` is what the router reads as the prompt: the whole request, or the question."""

    name: str
    router: Router
    rule: Rule
    view: str = REQUEST

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedRoutedStrategy:
        """Fit the router and the relative costs on fit tasks; tune the router and the rule on calibration tasks."""
        fit, calibration = fit.reading(self.view), calibration.reading(self.view)
        router = copy.deepcopy(self.router)
        router = router.fit(fit_table(fit, router))
        if isinstance(router, Tunable):
            router = router.tune(fit_table(calibration, router))
        fitted = FittedRoutedStrategy(self.name, router, self.rule, relative_cost(fit), self.view)
        return replace(fitted, rule=self.rule.calibrated(guarded(router, calibration), fitted.pool_info(fit.models)))


@dataclass(frozen=True)
class FittedRoutedStrategy:
    """A fitted router with its rule."""

    name: str
    router: Router
    rule: Rule
    relative_cost: NDArray[np.float64]
    view: str = REQUEST

    def predict(self, outcomes: OutcomeMatrix) -> Predict:
        """Return the guarded predictions of the router on `outcomes`, given the models called."""
        return guarded(self.router, outcomes.reading(self.view))

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Return the choices at all thresholds; the router predicts once per set of called models."""
        choices = sweep.choose(self.rule, self.predict(outcomes), self.pool_info(outcomes.models), thresholds)
        return {self.name: replace(choices, read_costs=self.read_costs(outcomes))}

    def pieces(self, outcomes: OutcomeMatrix) -> Iterator[list[Piece]]:
        """Yield the choices at every threshold in [0, 1], a block of tasks at a time."""
        yield from sweep.pieces(self.rule, self.predict(outcomes), self.pool_info(outcomes.models))

    def changes(self, outcomes: OutcomeMatrix, *, overhead: Overhead) -> Changes:
        """Return every change of choice over thresholds from 0 to 1."""
        return sweep.changes(self.pieces(outcomes), outcomes, read_costs=self.read_costs(outcomes), overhead=overhead)

    def read_costs(self, outcomes: OutcomeMatrix) -> ReadCosts | None:
        """Return what the router's reads cost in addition to the calls."""
        return read_costs(self.router, outcomes)

    def pool_info(self, models: tuple[str, ...]) -> PoolInfo:
        """Return what the rule knows of the pool."""
        return PoolInfo(self.relative_cost, readable_answers(self.router, models))


def relative_cost(fit: OutcomeMatrix) -> NDArray[np.float64]:
    """Return each model's mean cost on fit tasks over that of the most expensive model.

    Raises ValueError if that model costs nothing.
    """
    mean = fit.cost_usd.mean(axis=0)
    if not mean[-1] > 0:
        raise ValueError(f"model {fit.models[-1]!r} costs nothing on the fit tasks: costs cannot be compared with it")
    return mean / mean[-1]
