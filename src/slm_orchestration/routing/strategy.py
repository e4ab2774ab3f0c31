"""Strategies: a router with a rule."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing import sweep
from slm_orchestration.routing.access import Reads, fit_table, guarded, paid_reads, readable_answers
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.router import Router, Tunable
from slm_orchestration.routing.rules import Choices, Rule, Terms
from slm_orchestration.routing.sweep import Changes, Piece


class Strategy(Protocol):
    """Chooses models for tasks. References, which may look at more than a router, have the same form."""

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedStrategy:
        """Return the strategy fitted on fit tasks; only references look at calibration tasks."""
        ...


class FittedStrategy(Protocol):
    """A strategy that is ready to choose."""

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Return the choices of each strategy by its name; most have one name, `constant` has one per model."""
        ...


@dataclass(frozen=True)
class RoutedStrategy:
    """A router with a rule."""

    name: str
    router: Router
    rule: Rule

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedRoutedStrategy:
        """Fit the router and take expected costs on fit tasks; tune the router and the rule on calibration tasks."""
        router = copy.deepcopy(self.router)
        router = router.fit(fit_table(fit, router))
        if isinstance(router, Tunable):
            router = router.tune(fit_table(calibration, router))
        terms = Terms(relative_cost(fit), readable_answers(router, fit.models))
        rule = self.rule.calibrated(guarded(router, calibration), terms)
        return FittedRoutedStrategy(self.name, router, rule, terms.relative_cost)


@dataclass(frozen=True)
class FittedRoutedStrategy:
    """A fitted router with its rule."""

    name: str
    router: Router
    rule: Rule
    relative_cost: NDArray[np.float64]

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Return the choices at all thresholds; the router is asked once per set of paid answers."""
        choices = sweep.choose(self.rule, guarded(self.router, outcomes), self.terms(outcomes), thresholds)
        return {self.name: replace(choices, reads=self.reads(outcomes))}

    def pieces(self, outcomes: OutcomeMatrix) -> Iterator[list[Piece]]:
        """Yield what is done with each task at every threshold in [0, 1], a block of tasks at a time."""
        yield from sweep.pieces(self.rule, guarded(self.router, outcomes), self.terms(outcomes))

    def changes(self, outcomes: OutcomeMatrix, *, overhead: Overhead) -> Changes:
        """Return every change of choice over thresholds from 0 to 1."""
        return sweep.changes(self.pieces(outcomes), outcomes, reads=self.reads(outcomes), overhead=overhead)

    def reads(self, outcomes: OutcomeMatrix) -> Reads | None:
        """Return what the router's reads cost beside the calls."""
        return paid_reads(self.router, outcomes)

    def terms(self, outcomes: OutcomeMatrix) -> Terms:
        """Return what the rule knows of the pool."""
        return Terms(self.relative_cost, readable_answers(self.router, outcomes.models))


def relative_cost(fit: OutcomeMatrix) -> NDArray[np.float64]:
    """Return each model's mean cost on fit tasks over the dearest model's."""
    mean = fit.cost_usd.mean(axis=0)
    if not mean[-1] > 0:
        raise ValueError(f"model {fit.models[-1]!r} costs nothing on the fit tasks: costs cannot be compared with it")
    return mean / mean[-1]
