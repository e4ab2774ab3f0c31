"""From predictions to choices: every rule is a walk over states, and at each state a choice between weighed options.

A state is the models called so far, in order. At threshold t the option of the largest (1 - t)·quality - t·cost is
taken. The walk can be made at given thresholds (`choose`), or for all thresholds in [0, 1] at once (`pieces`): the
options of a task are straight lines in t, and their upper envelope says exactly where its choice changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing.access import Called, Floats, Predict, Reads
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.rules import GUESS, STOP, Choices, Options, Rule, Terms

BLOCK_TASKS = 2**14  # tasks weighed at a time, so that their options stay in the cache


@dataclass(frozen=True)
class Piece:
    """Tasks that, for thresholds from `low` to `high`, end with the same models called; arrays are one per task.

    Pieces that took one prediction come with their `low` ascending.
    """

    called: Called
    task: NDArray[np.intp]
    low: Floats
    high: Floats
    served: NDArray[np.intp]
    predictions: int


def choose(rule: Rule, predict: Predict, terms: Terms, thresholds: Floats) -> Choices:
    """Return what `rule` does at each threshold."""
    tasks, models = predict(rule.start).shape
    choices = _start(rule.start, np.asarray(thresholds, dtype=float), tasks, models)
    frontier = {rule.start: np.ones(choices.served.shape, dtype=bool)}
    while frontier:
        state, here = frontier.popitem()
        quality = predict(state)
        options = rule.options(state, quality, terms)
        served = rule.served(state, quality) if state else np.full(tasks, GUESS)
        calls, cost = np.array(options.calls), np.broadcast_to(options.cost, options.quality.shape)
        choices.predictions[here] += 1
        for row, threshold in enumerate(choices.thresholds):
            at = np.flatnonzero(here[row])
            value = (1 - threshold) * options.quality[at] - threshold * cost[at]
            model = calls[value.argmax(axis=1)]
            choices.served[row, at] = np.where(model == STOP, served[at], model)
            choices.called[row, at[model != STOP], model[model != STOP]] = True
            for number in np.unique(model[model != STOP]).tolist():
                if rule.goes_on(number, terms):
                    frontier.setdefault((*state, number), np.zeros_like(here))[row, at[model == number]] = True
    return choices


def pieces(rule: Rule, predict: Predict, terms: Terms) -> Iterator[list[Piece]]:
    """Yield what `rule` does at every threshold, exactly: all pieces of a block of tasks, then those of the next."""
    for first in range(0, len(predict(rule.start)), BLOCK_TASKS):
        yield list(_pieces(rule, predict, terms, slice(first, first + BLOCK_TASKS)))


def _pieces(rule: Rule, predict: Predict, terms: Terms, block: slice) -> Iterator[Piece]:
    count = len(predict(rule.start)[block])
    frontier = [(rule.start, 1, np.arange(count), np.zeros(count), np.ones(count))]
    while frontier:
        state, asked, task, low, high = frontier.pop()
        quality = predict(state)[block]
        options = rule.options(state, quality, terms)
        served = rule.served(state, quality) if state else np.full(count, GUESS)
        further: dict[int, list[tuple[NDArray[np.intp], Floats, Floats]]] = {}
        for option, segment, start, end in _envelopes(options, task, low, high):
            model, whose = options.calls[option], task[segment]
            if model == STOP:
                yield Piece(state, whose + block.start, start, end, served[whose], asked)
            elif rule.goes_on(model, terms):
                further.setdefault(model, []).append((whose, start, end))
            else:
                yield Piece((*state, model), whose + block.start, start, end, np.full(whose.size, model), asked)
        for model, parts in further.items():
            whose, start, end = (np.concatenate([part[column] for part in parts]) for column in range(3))
            frontier.append(((*state, model), asked + 1, whose, start, end))


def _envelopes(
    options: Options, task: NDArray[np.intp], low: Floats, high: Floats
) -> Iterator[tuple[int, NDArray[np.intp], Floats, Floats]]:
    """Yield option, segments, start and end of the upper envelope over each segment's thresholds.

    An option's value is its quality - t · fall, fall being quality + cost. Arrays are options × segments.
    """
    quality = np.ascontiguousarray(options.quality[task].T)
    fall = quality + (options.cost[:, None] if options.cost.ndim == 1 else options.cost[task].T)
    current = (quality - low * fall).argmax(axis=0)
    active, start = np.arange(len(low)), low
    while active.size:
        crossing = np.full(active.size, np.inf)
        following = np.zeros(active.size, dtype=np.intp)
        here = np.arange(active.size)
        top, steep = quality[current, here], fall[current, here]
        for option in range(len(quality)):
            flatter = steep - fall[option]
            with np.errstate(divide="ignore", invalid="ignore"):
                meets = np.where(flatter > 0, (top - quality[option]) / flatter, np.inf)
            sooner = meets < crossing
            np.copyto(crossing, meets, where=sooner)
            following[sooner] = option
        end = np.minimum(np.maximum(crossing, start), high)
        lasts = end > start
        for option in range(len(quality)):
            at = np.flatnonzero(lasts & (current == option))
            if at.size:
                yield option, active[at], start[at], end[at]
        on = np.flatnonzero(end < high)
        quality, fall, high = quality[:, on], fall[:, on], high[on]
        active, current, start = active[on], following[on], end[on]


def _start(start: Called, thresholds: Floats, tasks: int, models: int) -> Choices:
    shape = (len(thresholds), tasks)
    called = np.zeros((*shape, models), dtype=bool)
    called[:, :, list(start)] = True
    served = np.full(shape, start[-1] if start else GUESS, dtype=np.intp)
    return Choices(thresholds, called, served, np.zeros(shape, dtype=np.intp))


# ========== Exact curves: every distinct operating point that a strategy has on a set of tasks, from one sort.
#
# A task's choice changes at a few thresholds of its own. Sorting the changes of all tasks and summing what each of them
# adds gives the means at every threshold, at the cost of one sort instead of one replay per threshold.
#
MEASURES = ("quality", "cost_usd", "latency_s", "small_share", "dearest_share")


@dataclass(frozen=True)
class Changes:
    """All changes of all tasks, from the dearest end (threshold 0) to the cheapest.

    `task` and `threshold` say whose choice changes and where; `added` is changes × MEASURES, what the change adds to
    that task's values; `start` is tasks × MEASURES, the values at threshold 0.
    """

    task: NDArray[np.intp]
    threshold: NDArray[np.float64]
    added: NDArray[np.float64]
    start: NDArray[np.float64]


@dataclass(frozen=True)
class ExactCurve:
    """Means over tasks on each piece between changes; piece i lies just above `threshold[i]`.

    `means` is pieces × MEASURES.
    """

    threshold: NDArray[np.float64]
    means: NDArray[np.float64]

    def __getitem__(self, measure: str) -> NDArray[np.float64]:
        return self.means[:, MEASURES.index(measure)]


def changes(
    blocks: Iterable[list[Piece]], outcomes: OutcomeMatrix, *, reads: Reads | None, overhead: Overhead
) -> Changes:
    """Return the changes between consecutive pieces of each task, in the order of their thresholds."""
    start = np.empty((len(outcomes), len(MEASURES)))
    tasks, thresholds, changed = [], [], []
    for pieces in blocks:
        task, threshold, added = _changes(pieces, start, _Paid(outcomes, reads, overhead))
        tasks.append(task)
        thresholds.append(threshold)
        changed.append(added)
    joined = np.concatenate(changed)
    changed.clear()  # of many tasks, every copy is gigabytes
    threshold = np.concatenate(thresholds)
    # Each block is in order, so that a stable sort only merges blocks, and what it moves lies in few places.
    order = np.argsort(threshold, kind="stable")
    return Changes(np.concatenate(tasks)[order], threshold[order], joined.take(order, axis=0), start)


def _changes(
    pieces: list[Piece], start: NDArray[np.float64], paid: _Paid
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Return task, threshold and what is added of each change of a block of tasks, and fill in their `start`."""
    task, low = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("task", "low"))
    values = np.concatenate([_values(piece, paid) for piece in pieces])
    place = np.arange(task.size)
    if any(piece.predictions > 1 for piece in pieces):  # else they come with their thresholds ascending
        place = np.argsort(low, kind="stable")
    within = (task - task.min()).astype(np.uint16)  # small numbers are sorted in linear time
    place = place[np.argsort(within[place], kind="stable")]  # per task, its pieces from the dearest to the cheapest
    whose = task[place]
    opens = np.append(True, whose[1:] != whose[:-1])
    later = np.flatnonzero(~opens)
    later = later[np.argsort(low[place[later]], kind="stable")]
    added = values.take(place[later], axis=0)
    added -= values.take(place[later - 1], axis=0)
    start[whose[opens]] = values.take(place[opens], axis=0)
    return whose[later], low[place[later]], added


def curve(found: Changes) -> ExactCurve:
    """Return the means after each distinct threshold; changes at the same threshold happen together."""
    means = np.vstack([found.start.sum(axis=0), found.added])
    np.cumsum(means, axis=0, out=means)
    means /= len(found.start)
    threshold = np.append(0.0, found.threshold)
    last_of_its_threshold = np.append(threshold[1:] != threshold[:-1], True)
    if last_of_its_threshold.all():
        return ExactCurve(threshold, means)
    return ExactCurve(threshold[last_of_its_threshold], means[last_of_its_threshold])


@dataclass(frozen=True)
class _Paid:
    """What tasks get and pay: the outcomes, a router's reads, and its own predictions."""

    outcomes: OutcomeMatrix
    reads: Reads | None
    overhead: Overhead


def _values(piece: Piece, paid: _Paid) -> NDArray[np.float64]:
    """Return what the tasks of a piece get and pay, tasks × MEASURES."""
    outcomes, reads = paid.outcomes, paid.reads
    task, called = piece.task, list(piece.called)
    values = np.empty((task.size, len(MEASURES)))
    values[:, 0] = outcomes.quality[task, piece.served]
    for column in (1, 2):
        name = MEASURES[column]
        amount: NDArray[np.float64] = getattr(outcomes, name)
        values[:, column] = piece.predictions * getattr(paid.overhead, name)
        for model in called:
            values[:, column] += amount[task, model]
        if reads is not None:
            values[:, column] += reads.before[name][task] + reads.call[name][task][:, called].sum(axis=1)
    values[:, 3] = all(outcomes.models[model] in outcomes.small for model in called)
    values[:, 4] = len(outcomes.models) - 1 in called
    return values
