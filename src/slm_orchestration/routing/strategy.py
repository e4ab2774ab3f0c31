"""Strategies: a router with a rule, and the wall between a router and what it has not paid for."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import ANSWER_COLUMNS, OutcomeMatrix
from slm_orchestration.routing.router import Router
from slm_orchestration.routing.rules import Called, Choices, Predict, Rule, Terms


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
        """Fit the router on fit tasks and take each model's expected cost from them."""
        router = copy.deepcopy(self.router).fit(fit_table(fit))
        return FittedRoutedStrategy(self.name, router, self.rule, relative_cost(fit))


@dataclass(frozen=True)
class FittedRoutedStrategy:
    """A fitted router with its rule."""

    name: str
    router: Router
    rule: Rule
    relative_cost: NDArray[np.float64]

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Return the choices at all thresholds; the router is asked once per set of paid answers."""
        choices = self.rule.choose(
            guarded(self.router, outcomes),
            self._terms(outcomes),
            np.asarray(thresholds, dtype=float),
        )
        return {self.name: choices}

    def choose_everywhere(self, outcomes: OutcomeMatrix) -> tuple[NDArray[np.float64], Choices]:
        """Return each task's breakpoints, ascending, and its choices on the pieces of [0, 1] between them.

        There is one piece more than breakpoints; the choices' thresholds are the middles of the pieces, pieces × tasks.
        """
        predict, terms = guarded(self.router, outcomes), self._terms(outcomes)
        breakpoints = np.sort(self.rule.breakpoints(predict, terms), axis=0)
        ends = np.vstack([np.zeros(len(outcomes)), breakpoints, np.ones(len(outcomes))])
        return breakpoints, self.rule.choose(predict, terms, (ends[1:] + ends[:-1]) / 2)

    def _terms(self, outcomes: OutcomeMatrix) -> Terms:
        return Terms(self.relative_cost, readable_answers(self.router, outcomes.models))


def fit_table(fit: OutcomeMatrix) -> pd.DataFrame:
    """Return what a router is fitted on: per task and model the prompt, domain, group, quality, cost and answer."""
    width = len(fit.models)
    tasks = fit.tasks.loc[fit.tasks.index.repeat(width), ["question", "domain", "group"]].reset_index(drop=True)
    return pd.concat(
        [
            pd.DataFrame({"row": np.repeat(np.arange(len(fit)), width)}),
            tasks.rename(columns={"question": "prompt"}),
            fit.answers,
            pd.DataFrame({"quality": fit.quality.ravel(), "cost_usd": fit.cost_usd.ravel()}),
        ],
        axis=1,
    )


def relative_cost(fit: OutcomeMatrix) -> NDArray[np.float64]:
    """Return each model's mean cost on fit tasks over the dearest model's."""
    mean = fit.cost_usd.mean(axis=0)
    if not mean[-1] > 0:
        raise ValueError(f"model {fit.models[-1]!r} costs nothing on the fit tasks: costs cannot be compared with it")
    return mean / mean[-1]


def readable_answers(router: Router, models: tuple[str, ...]) -> frozenset[int]:
    """Return which models' answers `router` reads. Raises ValueError on a read that does not exist."""
    answers = set()
    for read in router.reads:
        kind, _, name = read.partition(":")
        if read == "prompt":
            continue
        if kind != "answer" or name not in {*models, "*"}:
            raise ValueError(
                f"a router may not read {read!r}; it may read 'prompt', 'answer:*', "
                f"or 'answer:<model>' with a model of {', '.join(models)}"
            )
        answers |= set(models) if name == "*" else {name}
    return frozenset(index for index, model in enumerate(models) if model in answers)


def guarded(router: Router, outcomes: OutcomeMatrix) -> Predict:
    """Return the only way in which rules ask `router`: it is handed what it declares and what was paid, copied."""
    prompts = pd.DataFrame({"prompt": outcomes.tasks["question"]}) if "prompt" in router.reads else outcomes.tasks[[]]
    readable = readable_answers(router, outcomes.models)
    width = len(outcomes.models)
    asked: dict[frozenset[int], NDArray[np.float64]] = {}

    def predict(called: Called) -> NDArray[np.float64]:
        paid = frozenset(called) & readable
        if paid not in asked:
            quality = np.asarray(router.predict_quality(prompts.copy(), _answers(outcomes, paid)), dtype=float)
            if quality.shape != (len(outcomes), width) or not ((quality >= 0) & (quality <= 1)).all():
                raise ValueError(
                    f"{type(router).__name__} must predict tasks × models = {(len(outcomes), width)} in [0, 1], "
                    f"got shape {quality.shape}"
                )
            asked[paid] = quality
        return asked[paid]

    return predict


def _answers(outcomes: OutcomeMatrix, paid: frozenset[int]) -> pd.DataFrame:
    width = len(outcomes.models)
    rows = np.arange(len(outcomes))[:, None] * width + np.array(sorted(paid), dtype=int)
    answers = outcomes.answers[["model", *ANSWER_COLUMNS]].iloc[rows.ravel()].reset_index(drop=True)
    answers.insert(0, "row", np.repeat(np.arange(len(outcomes)), len(paid)))
    return answers
