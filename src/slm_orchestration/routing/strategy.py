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

# What a class may declare that it reads of the tasks it chooses for, beyond the request. The first three make it
# privileged, a reference line; feedback (the quality of the answers that it served) makes it an online strategy.
PRIVILEGES, FEEDBACK = frozenset({"quality", "domain", "reference"}), "feedback"
_DESCRIBING = ("request", "system", "earlier", "question", "prompt")


class Strategy(Protocol):
    """Chooses models for tasks. References, which may look at more than a router, have the same form.

    A class declares in `reads` what it looks at: prompt, choices, guess, feedback, or one of PRIVILEGES.
    `shown` hides the rest.
    """

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

    @property
    def reads(self) -> frozenset[str]:
        """What the router declares, before it is fitted."""
        return self.router.reads

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedRoutedStrategy:
        """Fit the router and the relative costs on fit tasks; tune the router and the rule on calibration tasks."""
        fit, calibration = fit.reading(self.view), calibration.reading(self.view)
        router = copy.deepcopy(self.router)
        router = router.fit(fit_table(fit, router))
        if isinstance(router, Tunable):
            router = router.tune(fit_table(calibration, router))
        fitted = FittedRoutedStrategy(
            self.name, router, self.rule, relative_cost(fit), self.view, frozenset(router.reads)
        )
        return replace(fitted, rule=self.rule.calibrated(fitted.walk(calibration), fitted.pool_info(fit.models)))


@dataclass(frozen=True)
class FittedRoutedStrategy:
    """A fitted router with its rule; `reads` is what the router declared when it had been fitted."""

    name: str
    router: Router
    rule: Rule
    relative_cost: NDArray[np.float64]
    view: str
    reads: frozenset[str]

    def predict(self, outcomes: OutcomeMatrix) -> Predict:
        """Return the guarded predictions of the router on `outcomes`, given the models called."""
        return guarded(self.router, outcomes.reading(self.view), self)

    def walk(self, outcomes: OutcomeMatrix) -> Predict:
        """Return the same of a fresh copy of the router, which remembers nothing of what it saw before."""
        return guarded(copy.deepcopy(self.router), without_outcomes(outcomes.reading(self.view)), self)

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Return the choices at all thresholds; the router predicts once per set of called models."""
        choices = sweep.choose(self.rule, self.walk(outcomes), self.pool_info(outcomes.models), thresholds)
        return {self.name: replace(choices, read_costs=self.read_costs(outcomes))}

    def pieces(self, outcomes: OutcomeMatrix) -> Iterator[list[Piece]]:
        """Yield the choices at every threshold in [0, 1], a block of tasks at a time."""
        yield from sweep.pieces(self.rule, self.walk(outcomes), self.pool_info(outcomes.models))

    def changes(self, outcomes: OutcomeMatrix, *, overhead: Overhead) -> Changes:
        """Return every change of choice over thresholds from 0 to 1."""
        return sweep.changes(self.pieces(outcomes), outcomes, read_costs=self.read_costs(outcomes), overhead=overhead)

    def read_costs(self, outcomes: OutcomeMatrix) -> ReadCosts | None:
        """Return what the router's reads cost in addition to the calls."""
        return read_costs(self, outcomes)

    def pool_info(self, models: tuple[str, ...]) -> PoolInfo:
        """Return what the rule knows of the pool."""
        return PoolInfo(self.relative_cost, readable_answers(self, models))


def declared(strategy: Strategy) -> frozenset[str]:
    """Return what the strategy's class declares that it reads beyond the request; of a router with a rule, nothing."""
    if type(strategy) is RoutedStrategy:
        return frozenset()
    reads: object = getattr(type(strategy), "reads", frozenset())
    if not isinstance(reads, frozenset):
        raise ValueError(f"{type(strategy).__name__}: its class must declare `reads` as a frozenset")
    return reads


def shown(fitted: FittedStrategy, reads: frozenset[str], outcomes: OutcomeMatrix) -> OutcomeMatrix:
    """Return what a fitted strategy may look at while it chooses: the requests, and what its class `reads`.

    Quality, costs and seconds are nan unless they are read; so are answers and side tables missing, but for a router,
    to which `access.guarded` hands those that it pays for.
    """
    if "quality" in reads:
        return outcomes
    hidden = without_outcomes(outcomes)
    kept = {*_DESCRIBING, "task_id"} | ({"domain", "dataset"} if "domain" in reads else set())
    kept |= {"guess_quality"} if "guess" in reads else set()
    kept |= {name for name in ("choices", "reference") if name in reads}
    hidden = replace(hidden, tasks=outcomes.tasks[[name for name in outcomes.tasks if name in kept]])
    if FEEDBACK in reads:
        hidden = replace(hidden, quality=outcomes.quality)
    if type(fitted) is FittedRoutedStrategy:
        return hidden
    return replace(hidden, answers=outcomes.answers.iloc[:0], side={})


def without_outcomes(outcomes: OutcomeMatrix) -> OutcomeMatrix:
    """Return the outcomes with nan for quality, costs and seconds."""
    nothing = np.full(outcomes.quality.shape, np.nan)
    return replace(outcomes, quality=nothing, cost_usd=nothing, latency_s=nothing, device_s=nothing)


def relative_cost(fit: OutcomeMatrix) -> NDArray[np.float64]:
    """Return each model's mean cost on fit tasks over that of the most expensive model.

    Raises ValueError if that model costs nothing.
    """
    mean = fit.cost_usd.mean(axis=0)
    if not mean[-1] > 0:
        raise ValueError(f"model {fit.models[-1]!r} costs nothing on the fit tasks: costs cannot be compared with it")
    return mean / mean[-1]
