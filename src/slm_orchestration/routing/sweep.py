"""Apply a rule at given thresholds (`choose`), or exactly at every threshold in [0, 1] (`pieces`, `changes`, `curve`).

A state is the models called so far, in order. At each state and threshold t, the rule's option of the largest
(1 - t)·quality - t·cost is taken, until no further model is called. The value of an option is a straight line in t, so
the upper envelope of a task's options gives the exact thresholds at which its choice changes. Sorting the changes of
all tasks and summing what each adds gives the means at every threshold for the price of one sort.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing.access import Called, Floats, Predict, ReadCosts
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.rules import GUESS, STOP, Choices, Options, PoolInfo, Rule

BLOCK_TASKS = 2**14  # tasks per block: their options then stay in the processor's cache
MEASURES = ("quality", "cost_usd", "latency_s", "small_share", "most_expensive_share")


@dataclass(frozen=True)
class Piece:
    """Tasks for which the models `called` are the same at thresholds from `low` to `high`; arrays have a row per task.

    `predictions` is how often the router predicted. Pieces of one prediction have ascending `low`.
    """

    called: Called
    task: NDArray[np.intp]
    low: Floats
    high: Floats
    served: NDArray[np.intp]
    predictions: int


@dataclass(frozen=True)
class Changes:
    """All changes of choice, in the order of their thresholds, from the most expensive (threshold 0) to the cheapest.

    At `threshold[i]` the choice for `task[i]` changes, and `added[i]` (of MEASURES) is added to its values; `start` is
    tasks × MEASURES, the values at threshold 0.
    """

    task: NDArray[np.intp]
    threshold: NDArray[np.float64]
    added: NDArray[np.float64]
    start: NDArray[np.float64]


@dataclass(frozen=True)
class ExactCurve:
    """Means over tasks between changes: `means[i]` (of MEASURES) holds from `threshold[i]` up to the next threshold."""

    threshold: NDArray[np.float64]
    means: NDArray[np.float64]

    def __getitem__(self, measure: str) -> NDArray[np.float64]:
        return self.means[:, MEASURES.index(measure)]


@dataclass(frozen=True)
class _Payments:
    """What the values of a task are computed from: outcomes, the costs of reads, and those of predictions."""

    outcomes: OutcomeMatrix
    read_costs: ReadCosts | None
    overhead: Overhead


def choose(rule: Rule, predict: Predict, pool: PoolInfo, thresholds: Floats) -> Choices:
    """Return what `rule` does at each threshold."""
    tasks, models = predict(rule.start).shape
    choices = _initial_choices(rule.start, np.asarray(thresholds, dtype=float), tasks, models)
    # Per state still to be decided, the thresholds and tasks (a mask) that reach it.
    pending = {rule.start: np.ones(choices.served.shape, dtype=bool)}
    while pending:
        state, reached = pending.popitem()
        rows = np.flatnonzero(reached.any(axis=0))
        quality = np.nan_to_num(predict(state, rows))  # of tasks that did not reach this state, nothing is known
        options = rule.options(state, quality, pool)
        served = rule.served(state, quality) if state else np.full(tasks, GUESS)
        calls, cost = np.array(options.calls), np.broadcast_to(options.cost, options.quality.shape)
        choices.predictions[reached] += 1
        for row, threshold in enumerate(choices.thresholds):
            task = np.flatnonzero(reached[row])
            value = (1 - threshold) * options.quality[task] - threshold * cost[task]
            model = calls[value.argmax(axis=1)]
            choices.served[row, task] = np.where(model == STOP, served[task], model)
            choices.called[row, task[model != STOP], model[model != STOP]] = True
            for called in np.unique(model[model != STOP]).tolist():
                if rule.escalates_after(called, pool):
                    pending.setdefault((*state, called), np.zeros_like(reached))[row, task[model == called]] = True
    return choices


def pieces(rule: Rule, predict: Predict, pool: PoolInfo) -> Iterator[list[Piece]]:
    """Yield what `rule` does at every threshold in [0, 1], as a list of pieces per block of tasks."""
    for first in range(0, len(predict(rule.start)), BLOCK_TASKS):
        yield list(_pieces(rule, predict, pool, slice(first, first + BLOCK_TASKS)))


def changes(
    blocks: Iterable[list[Piece]], outcomes: OutcomeMatrix, *, read_costs: ReadCosts | None, overhead: Overhead
) -> Changes:
    """Return the changes between consecutive pieces of each task, in the order of their thresholds.

    `blocks` is what `pieces` yields.
    """
    start = np.empty((len(outcomes), len(MEASURES)))
    tasks, thresholds, changed = [], [], []
    for pieces in blocks:
        task, threshold, added = _changes(pieces, start, _Payments(outcomes, read_costs, overhead))
        tasks.append(task)
        thresholds.append(threshold)
        changed.append(added)
    joined = np.concatenate(changed)
    changed.clear()  # for many tasks, each copy takes gigabytes
    threshold = np.concatenate(thresholds)
    # Each block is sorted already, so a stable sort only merges blocks.
    order = np.argsort(threshold, kind="stable")
    return Changes(np.concatenate(tasks)[order], threshold[order], joined.take(order, axis=0), start)


def curve(changes: Changes) -> ExactCurve:
    """Return the means after each distinct threshold; changes at equal thresholds make one point."""
    means = np.vstack([changes.start.sum(axis=0), changes.added])
    np.cumsum(means, axis=0, out=means)
    means /= len(changes.start)
    threshold = np.append(0.0, changes.threshold)
    last_of_its_threshold = np.append(threshold[1:] != threshold[:-1], True)
    if last_of_its_threshold.all():
        return ExactCurve(threshold, means)
    return ExactCurve(threshold[last_of_its_threshold], means[last_of_its_threshold])


def _pieces(rule: Rule, predict: Predict, pool: PoolInfo, block: slice) -> Iterator[Piece]:
    count = len(predict(rule.start)[block])
    # State, predictions made, and the tasks with the threshold ranges that reach it.
    pending = [(rule.start, 1, np.arange(count), np.zeros(count), np.ones(count))]
    while pending:
        state, predictions, task, low, high = pending.pop()
        quality = np.nan_to_num(predict(state, np.unique(task) + block.start)[block])
        options = rule.options(state, quality, pool)
        served = rule.served(state, quality) if state else np.full(count, GUESS)
        continued: dict[int, list[tuple[NDArray[np.intp], Floats, Floats]]] = {}
        for option, segment, start, end in _envelopes(options, task, low, high):
            model, row = options.calls[option], task[segment]
            if model == STOP:
                yield Piece(state, row + block.start, start, end, served[row], predictions)
            elif rule.escalates_after(model, pool):
                continued.setdefault(model, []).append((row, start, end))
            else:
                yield Piece((*state, model), row + block.start, start, end, np.full(row.size, model), predictions)
        for model, parts in continued.items():
            row, start, end = (np.concatenate([part[column] for part in parts]) for column in range(3))
            pending.append(((*state, model), predictions + 1, row, start, end))


def _envelopes(
    options: Options, task: NDArray[np.intp], low: Floats, high: Floats
) -> Iterator[tuple[int, NDArray[np.intp], Floats, Floats]]:
    """Yield option, segments, start and end of the upper envelope; segment i is `task[i]` from `low[i]` to `high[i]`.

    An option's value is (1 - t)·quality - t·cost = quality - t·fall with fall = quality + cost, both as
    options × segments. From each segment's current option, the envelope moves on to the one that it meets first.
    """
    quality = np.ascontiguousarray(options.quality[task].T)
    fall = quality + (options.cost[:, None] if options.cost.ndim == 1 else options.cost[task].T)
    current = (quality - low * fall).argmax(axis=0)
    active, start = np.arange(len(low)), low
    while active.size:
        crossing = np.full(active.size, np.inf)
        following = np.zeros(active.size, dtype=np.intp)
        column = np.arange(active.size)
        current_quality, current_fall = quality[current, column], fall[current, column]
        for option in range(len(quality)):
            flatter = current_fall - fall[option]
            with np.errstate(divide="ignore", invalid="ignore"):
                meets = np.where(flatter > 0, (current_quality - quality[option]) / flatter, np.inf)
            sooner = meets < crossing
            np.copyto(crossing, meets, where=sooner)
            following[sooner] = option
        end = np.minimum(np.maximum(crossing, start), high)
        not_empty = end > start
        for option in range(len(quality)):
            rows = np.flatnonzero(not_empty & (current == option))
            if rows.size:
                yield option, active[rows], start[rows], end[rows]
        unfinished = np.flatnonzero(end < high)
        quality, fall, high = quality[:, unfinished], fall[:, unfinished], high[unfinished]
        active, current, start = active[unfinished], following[unfinished], end[unfinished]


def _initial_choices(start: Called, thresholds: Floats, tasks: int, models: int) -> Choices:
    shape = (len(thresholds), tasks)
    called = np.zeros((*shape, models), dtype=bool)
    called[:, :, list(start)] = True
    served = np.full(shape, start[-1] if start else GUESS, dtype=np.intp)
    return Choices(thresholds, called, served, np.zeros(shape, dtype=np.intp))


def _changes(
    pieces: list[Piece], start: NDArray[np.float64], payments: _Payments
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Return task, threshold and added values of each change in a block of tasks, and fill in their rows of `start`."""
    task, low = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("task", "low"))
    values = np.concatenate([_values(piece, payments) for piece in pieces])
    order = np.arange(task.size)
    if any(piece.predictions > 1 for piece in pieces):  # else their thresholds are ascending already
        order = np.argsort(low, kind="stable")
    within = (task - task.min()).astype(np.uint16)  # 16-bit integers are sorted in linear time
    order = order[np.argsort(within[order], kind="stable")]  # by task, then by threshold
    ordered_task = task[order]
    is_first = np.append(True, ordered_task[1:] != ordered_task[:-1])
    later = np.flatnonzero(~is_first)
    later = later[np.argsort(low[order[later]], kind="stable")]
    added = values.take(order[later], axis=0)
    added -= values.take(order[later - 1], axis=0)
    start[ordered_task[is_first]] = values.take(order[is_first], axis=0)
    return ordered_task[later], low[order[later]], added


def _values(piece: Piece, payments: _Payments) -> NDArray[np.float64]:
    """Return quality, costs and shares of the tasks of a piece, tasks × MEASURES."""
    outcomes, reads = payments.outcomes, payments.read_costs
    task, called = piece.task, list(piece.called)
    values = np.empty((task.size, len(MEASURES)))
    values[:, 0] = outcomes.quality[task, piece.served]
    for column in (1, 2):
        name = MEASURES[column]
        amount: NDArray[np.float64] = getattr(outcomes, name)
        values[:, column] = piece.predictions * getattr(payments.overhead, name)
        for model in called:
            values[:, column] += amount[task, model]
        if reads is not None:
            values[:, column] += reads.before_calls[name][task] + reads.per_call[name][task][:, called].sum(axis=1)
    values[:, 3] = all(outcomes.models[model] in outcomes.small for model in called)
    values[:, 4] = len(outcomes.models) - 1 in called
    return values
