"""Model selection: the rules of replay, applied again after every answer, under limits and without failed models.

A rule sees the answers that exist and placeholders for the others. Rules call models in the order of the pool, so the
first model that they call and that has not answered depends on existing answers only: it is the one that replay would
call next.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.models.model import Completion
from slm_orchestration.routing import sweep
from slm_orchestration.routing.access import Reading, readable_answers, side_table_keys
from slm_orchestration.routing.outcome_matrix import ANSWER_COLUMNS, OutcomeMatrix, SideTable
from slm_orchestration.routing.rules import Called, Predict
from slm_orchestration.routing.strategy import FittedRoutedStrategy

NO_MODEL = -1
# Far below any quality, so that a model that is not allowed is never the best choice.
_FORBIDDEN = -1e12
_NO_ANSWERS = pd.DataFrame({"model": [], **{column: [] for column in ANSWER_COLUMNS}})


@dataclass(frozen=True)
class TaskLimits:
    """Limits of one task, in seconds and dollars (infinite: none); with `relax` they give way where no model fits."""

    latency_s: float = np.inf
    cost_usd: float = np.inf
    relax: bool = True


@dataclass
class Progress:
    """What is known of some tasks while they are routed; every array is tasks × models.

    `requests` has a row per task: question, request, system, earlier.

    `expected_s` and `expected_usd` are those of a call before it is made, `spent_s` and `spent_usd` those of the calls
    made. `confidence` is NaN where there is no answer; `prior_quality` is the quality predicted before the first call.
    """

    models: tuple[str, ...]
    requests: pd.DataFrame
    expected_s: NDArray[np.float64]
    expected_usd: NDArray[np.float64]
    spent_s: NDArray[np.float64] = field(init=False)
    spent_usd: NDArray[np.float64] = field(init=False)
    confidence: NDArray[np.float64] = field(init=False)
    failed: NDArray[np.bool_] = field(init=False)
    completions: dict[tuple[int, int], Completion] = field(default_factory=dict, init=False)
    prior_quality: NDArray[np.float64] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        shape = self.expected_s.shape
        self.spent_s, self.spent_usd = np.zeros(shape), np.zeros(shape)
        self.confidence, self.failed = np.full(shape, np.nan), np.zeros(shape, dtype=bool)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which models have answered which tasks."""
        return ~np.isnan(self.confidence)


@dataclass(frozen=True)
class Selection:
    """One round of selection: the model to call and the model to serve for each task, or NO_MODEL.

    `quality` is predicted before the first call, and `fits` are the models that limits and failures allow then, both
    tasks × models. `relaxed` marks tasks whose limits no model fits.
    """

    call: NDArray[np.intp]
    serve: NDArray[np.intp]
    quality: NDArray[np.float64]
    fits: NDArray[np.bool_]
    relaxed: NDArray[np.bool_]


def select(strategy: FittedRoutedStrategy, threshold: float, progress: Progress, limits: TaskLimits) -> Selection:
    """Return the model to call next for each task, and the model to serve if no further call is due."""
    predict = _predictor(strategy, progress)
    fits, relaxed = _allowed_at_first(progress, limits)
    unlimited = bool(fits.all()) and limits == TaskLimits(relax=limits.relax)
    allowed_only = predict if unlimited else _masked(predict, progress, limits, fits)
    # At threshold 1 quality has weight 0, and a model that is not allowed would be as good as any other.
    weight = threshold if unlimited else min(threshold, 1 - 1e-9)
    pool = strategy.pool_info(progress.models)
    choices = sweep.choose(strategy.rule, allowed_only, pool, np.array([weight]))
    answered = progress.answered
    allowed = np.where(answered.any(axis=1, keepdims=True), _allowed_by_rest(progress, limits, answered), fits)
    pending = choices.called[0] & ~answered & allowed
    call = np.where(pending.any(axis=1), pending.argmax(axis=1), NO_MODEL)
    return Selection(call, _served(choices.served[0], progress), predict(()), fits, relaxed)


def select_named(model: int, progress: Progress) -> Selection:
    """Return the selection of one model for every task, which is called once: no router, rule or limit is asked."""
    answered, shape = progress.answered[:, model], progress.expected_s.shape
    call = np.where(answered | progress.failed[:, model], NO_MODEL, model)
    serve = np.where(answered, model, NO_MODEL)
    fits = np.zeros(shape, dtype=bool)
    fits[:, model] = True
    return Selection(call, serve, np.full(shape, np.nan), fits, np.zeros(shape[0], dtype=bool))


def _predictor(strategy: FittedRoutedStrategy, progress: Progress) -> Predict:
    """Return the router's predictions per state; it is called only where an existing answer can change them.

    Where no task has all the answers of a state, its prediction decides nothing, and the prior is returned.
    """
    if progress.prior_quality is None:
        progress.prior_quality = strategy.predict(_without_answers(progress))(())
    readable, prior = readable_answers(strategy, progress.models), progress.prior_quality
    known = bool(readable and progress.completions)
    posterior = strategy.predict(_with_answers(progress, strategy)) if known else None

    def predict(called: Called, rows: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        if posterior is None or not called or not progress.answered[:, list(called)].all(axis=1).any():
            return prior
        return posterior(called, rows)

    return predict


def _without_answers(progress: Progress) -> OutcomeMatrix:
    return _matrix(progress, _NO_ANSWERS)


def _with_answers(progress: Progress, router: Reading) -> OutcomeMatrix:
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
            answers[column] = _replaced(answers[column], places, [getattr(one, column) for one in found])
        answers["signals"] = _replaced(answers["signals"], places, [json.dumps(one.signals) for one in found])
    side = {name: _samples(progress, name) for name in side_table_keys(router, progress.models)}
    return replace(_matrix(progress, answers), side=side)


def _samples(progress: Progress, read: str) -> SideTable:
    """Return the samples of samples:<model>:<k>, at no cost here: it is in `spent_usd` and `spent_s` already."""
    model = progress.models.index(read.split(":")[1])
    nothing = np.zeros(len(progress.requests))
    values = np.empty(len(nothing), dtype=object)
    for row in range(len(nothing)):
        samples = getattr(progress.completions.get((row, model)), "samples", ())
        values[row] = [one.answer for one in samples]
    return SideTable(values, nothing, nothing, nothing)


def _matrix(progress: Progress, answers: pd.DataFrame) -> OutcomeMatrix:
    zeros = np.zeros(progress.expected_s.shape)
    return OutcomeMatrix(progress.requests, progress.models, frozenset(), zeros, zeros, zeros, zeros, answers)


def _replaced(column: pd.Series, places: list[int], values: list) -> list:
    changed = column.tolist()
    for place, value in zip(places, values, strict=True):
        changed[place] = value
    return changed


def _allowed_at_first(progress: Progress, limits: TaskLimits) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the models allowed before the first call, and the tasks whose limits no model fits."""
    excess = np.maximum(progress.expected_s / limits.latency_s, progress.expected_usd / limits.cost_usd)
    usable = ~progress.failed
    fits = (excess <= 1) & usable
    relaxed: NDArray[np.bool_] = ~np.any(fits, axis=1) & np.any(usable, axis=1)
    if limits.relax and relaxed.any():
        least = np.where(usable, excess, np.inf).min(axis=1, keepdims=True)
        fits = np.where(relaxed[:, None], usable & (excess <= least), fits)
    return fits, relaxed


def _masked(predict: Predict, progress: Progress, limits: TaskLimits, fits: NDArray[np.bool_]) -> Predict:
    """Return `predict` with a quality far below any other for every model that is not allowed."""

    def predict_allowed(called: Called, rows: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        allowed = fits
        if called:
            answered_so_far = np.zeros(fits.shape, dtype=bool)
            answered_so_far[:, list(called)] = progress.answered[:, list(called)]
            allowed = _allowed_by_rest(progress, limits, answered_so_far)
        return np.where(allowed | progress.answered, predict(called, rows), _FORBIDDEN)

    return predict_allowed


def _allowed_by_rest(progress: Progress, limits: TaskLimits, answered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the models that fit what is left of the limits after the calls in `answered` and the failed calls."""
    spent = answered | ~progress.answered  # without an answer, only failed calls have spent anything
    left_s = limits.latency_s - np.where(spent, progress.spent_s, 0.0).sum(axis=1, keepdims=True)
    left_usd = limits.cost_usd - np.where(spent, progress.spent_usd, 0.0).sum(axis=1, keepdims=True)
    return (progress.expected_s <= left_s) & (progress.expected_usd <= left_usd) & ~progress.failed


def _served(wanted: NDArray[np.intp], progress: Progress) -> NDArray[np.intp]:
    """Return the model that the rule serves if it has answered, else the last of the pool that has, else NO_MODEL."""
    rows, width = np.arange(len(wanted)), progress.answered.shape[1]
    last = np.where(progress.answered.any(axis=1), width - 1 - progress.answered[:, ::-1].argmax(axis=1), NO_MODEL)
    return np.where((wanted >= 0) & progress.answered[rows, np.maximum(wanted, 0)], wanted, last)
