"""Model selection: the same rules as in replay, asked again after every answer, under limits and without failed models.

A rule is given what is known so far, with placeholders for answers that do not exist yet. The first model that it calls
and that has not answered depends on known answers only, since rules call models in the order of the pool; so it is
what replay would call next.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.models.model import Completion
from slm_orchestration.routing import sweep
from slm_orchestration.routing.access import side_tables
from slm_orchestration.routing.outcome_matrix import ANSWER_COLUMNS, OutcomeMatrix, Recorded
from slm_orchestration.routing.router import Router
from slm_orchestration.routing.rules import Called, Predict, Terms
from slm_orchestration.routing.strategy import FittedRoutedStrategy, guarded, readable_answers

NONE = -1
# Far below any quality: what is not allowed is never the best choice.
_FORBIDDEN = -1e12
_NO_ANSWERS = pd.DataFrame({"model": [], **{column: [] for column in ANSWER_COLUMNS}})


@dataclass(frozen=True)
class Limits:
    """The most that a task may take, in seconds and dollars (infinite: no limit); relaxed where no model fits."""

    latency_s: float = np.inf
    cost_usd: float = np.inf
    relax: bool = True


@dataclass
class Progress:
    """What is known of some tasks while they are decided; every array is tasks × models.

    `expected_s` and `expected_usd` are what each call would take, `spent_s` and `spent_usd` what the calls made took.
    """

    models: tuple[str, ...]
    questions: list[str]
    expected_s: NDArray[np.float64]
    expected_usd: NDArray[np.float64]
    spent_s: NDArray[np.float64] = field(init=False)
    spent_usd: NDArray[np.float64] = field(init=False)
    confidence: NDArray[np.float64] = field(init=False)
    failed: NDArray[np.bool_] = field(init=False)
    completions: dict[tuple[int, int], Completion] = field(default_factory=dict, init=False)
    before: NDArray[np.float64] | None = field(default=None, init=False)  # quality predicted before any call

    def __post_init__(self) -> None:
        shape = self.expected_s.shape
        self.spent_s, self.spent_usd = np.zeros(shape), np.zeros(shape)
        self.confidence, self.failed = np.full(shape, np.nan), np.zeros(shape, dtype=bool)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Return which models have answered which tasks."""
        return ~np.isnan(self.confidence)


@dataclass(frozen=True)
class Selection:
    """One round of selection; `call` and `serve` hold a model per task, or NONE.

    `quality` is what was predicted before the first call; `fits` are the models that limits and failures allow then.
    `relaxed` marks tasks whose limits no model fits.
    """

    call: NDArray[np.intp]
    serve: NDArray[np.intp]
    quality: NDArray[np.float64]
    fits: NDArray[np.bool_]
    relaxed: NDArray[np.bool_]


def select(strategy: FittedRoutedStrategy, threshold: float, progress: Progress, limits: Limits) -> Selection:
    """Return what to call next for each task, and what to serve if nothing more is to be called."""
    predict = _asking(strategy.router, progress)
    fits, relaxed = _fitting(progress, limits)
    plain = bool(fits.all()) and limits == Limits(relax=limits.relax)
    ask = predict if plain else _masked(predict, progress, limits, fits)
    # At 1 quality weighs nothing, and a model that is not allowed would be as good as another.
    weight = threshold if plain else min(threshold, 1 - 1e-9)
    terms = Terms(strategy.relative_cost, readable_answers(strategy.router, progress.models))
    choices = sweep.choose(strategy.rule, ask, terms, np.array([weight]))
    answered = progress.answered
    allowed = np.where(answered.any(axis=1, keepdims=True), _left(progress, limits, answered), fits)
    pending = choices.called[0] & ~answered & allowed
    call = np.where(pending.any(axis=1), pending.argmax(axis=1), NONE)
    return Selection(call, _served(choices.served[0], progress), predict(()), fits, relaxed)


def _asking(router: Router, progress: Progress) -> Predict:
    """Return how rules ask `router`: through the wall, and only where an answer exists that could change the answer.

    Where no task has all the answers of a state, what is predicted there decides nothing.
    """
    if progress.before is None:
        progress.before = guarded(router, _unanswered(progress))(())
    readable, before = readable_answers(router, progress.models), progress.before
    after = guarded(router, _known(progress, router)) if readable and progress.completions else None

    def ask(called: Called) -> NDArray[np.float64]:
        if after is None or not called or not progress.answered[:, list(called)].all(axis=1).any():
            return before
        return after(called)

    return ask


def _unanswered(progress: Progress) -> OutcomeMatrix:
    return _matrix(progress, _NO_ANSWERS)


def _known(progress: Progress, router: Router) -> OutcomeMatrix:
    tasks, width = progress.expected_s.shape
    answers = pd.DataFrame(
        {
            "model": list(progress.models) * tasks,
            "answer": "",
            "confidence": np.where(progress.answered, progress.confidence, 0.5).ravel(),
            "signals": "{}",
            "completion_tokens": 1,
            "finish_reason": "stop",
        }
    )
    if progress.completions:
        places = [row * width + model for row, model in progress.completions]
        found = list(progress.completions.values())
        for column in ("answer", "completion_tokens", "finish_reason"):
            answers[column] = _with(answers[column], places, [getattr(one, column) for one in found])
        answers["signals"] = _with(answers["signals"], places, [json.dumps(one.signals) for one in found])
    side = {name: _drawn(progress, name) for name in side_tables(router, progress.models)}
    return replace(_matrix(progress, answers), side=side)


def _drawn(progress: Progress, read: str) -> Recorded:
    """Return the samples of samples:<model>:<k>; what they cost stands in `spent_usd` and `spent_s`."""
    model = progress.models.index(read.split(":")[1])
    nothing = np.zeros(len(progress.questions))
    values = np.empty(len(nothing), dtype=object)
    for row in range(len(nothing)):
        samples = getattr(progress.completions.get((row, model)), "samples", ())
        values[row] = [one.answer for one in samples]
    return Recorded(values, nothing, nothing, nothing)


def _matrix(progress: Progress, answers: pd.DataFrame) -> OutcomeMatrix:
    zeros = np.zeros(progress.expected_s.shape)
    rows = pd.DataFrame({"question": progress.questions})
    return OutcomeMatrix(rows, progress.models, frozenset(), zeros, zeros, zeros, zeros, answers)


def _with(column: pd.Series, places: list[int], values: list) -> list:
    changed = column.tolist()
    for place, value in zip(places, values, strict=True):
        changed[place] = value
    return changed


def _fitting(progress: Progress, limits: Limits) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the models allowed before the first call, and the tasks whose limits had to be relaxed for that."""
    excess = np.maximum(progress.expected_s / limits.latency_s, progress.expected_usd / limits.cost_usd)
    usable = ~progress.failed
    fits = (excess <= 1) & usable
    relaxed: NDArray[np.bool_] = ~np.any(fits, axis=1) & np.any(usable, axis=1)
    if limits.relax and relaxed.any():
        least = np.where(usable, excess, np.inf).min(axis=1, keepdims=True)
        fits = np.where(relaxed[:, None], usable & (excess <= least), fits)
    return fits, relaxed


def _masked(predict: Predict, progress: Progress, limits: Limits, fits: NDArray[np.bool_]) -> Predict:
    """Return `predict` with every model that is not allowed predicted to be hopeless."""

    def ask(called: Called) -> NDArray[np.float64]:
        allowed = fits
        if called:
            by_now = np.zeros(fits.shape, dtype=bool)
            by_now[:, list(called)] = progress.answered[:, list(called)]
            allowed = _left(progress, limits, by_now)
        return np.where(allowed | progress.answered, predict(called), _FORBIDDEN)

    return ask


def _left(progress: Progress, limits: Limits, answered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the models that fit what the calls in `answered`, and those made in vain, have left of the limits."""
    spent = answered | ~progress.answered  # of models without an answer only what failed has cost anything
    left_s = limits.latency_s - np.where(spent, progress.spent_s, 0.0).sum(axis=1, keepdims=True)
    left_usd = limits.cost_usd - np.where(spent, progress.spent_usd, 0.0).sum(axis=1, keepdims=True)
    return (progress.expected_s <= left_s) & (progress.expected_usd <= left_usd) & ~progress.failed


def _served(wanted: NDArray[np.intp], progress: Progress) -> NDArray[np.intp]:
    """Return the model that the rule serves if it has answered, else the largest that has, else NONE."""
    rows, width = np.arange(len(wanted)), progress.answered.shape[1]
    last = np.where(progress.answered.any(axis=1), width - 1 - progress.answered[:, ::-1].argmax(axis=1), NONE)
    return np.where((wanted >= 0) & progress.answered[rows, np.maximum(wanted, 0)], wanted, last)
