"""Exact curves: every distinct operating point that a strategy has on a set of tasks, from one sort.

A task's choice changes at a few thresholds of its own. Sorting the changes of all tasks and summing what each of them
adds gives the means at every threshold, at the cost of one sort instead of one replay per threshold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.strategy import FittedRoutedStrategy
from slm_orchestration.routing.walk import Piece, Reads

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


def changes(strategy: FittedRoutedStrategy, outcomes: OutcomeMatrix, *, overhead: Overhead) -> Changes:
    """Return every change of choice over thresholds from 0 to 1."""
    return changes_of(strategy.pieces(outcomes), outcomes, reads=strategy.reads(outcomes), overhead=overhead)


def changes_of(
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
