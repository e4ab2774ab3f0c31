"""Exact curves: every distinct operating point that a strategy has on a set of tasks, from one sort.

A task's choice changes at a few thresholds of its own. Sorting the changes of all tasks and summing what each of them
adds gives the means at every threshold, at the cost of one sort instead of one replay per threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Overhead, Replayed, replay
from slm_orchestration.routing.strategy import FittedRoutedStrategy

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
    """Means over tasks on each piece between changes; piece i begins at `threshold[i]`; means: pieces × MEASURES."""

    threshold: NDArray[np.float64]
    means: NDArray[np.float64]

    def __getitem__(self, measure: str) -> NDArray[np.float64]:
        return self.means[:, MEASURES.index(measure)]


def changes(strategy: FittedRoutedStrategy, outcomes: OutcomeMatrix, *, overhead: Overhead) -> Changes:
    """Return every change of choice over thresholds from 0 to 1."""
    breakpoints, choices = strategy.choose_everywhere(outcomes)
    values = _values(replay(strategy.name, choices, outcomes, overhead=overhead), len(outcomes.models))
    added = np.diff(values, axis=0)
    piece, task = np.nonzero((added != 0).any(axis=2))
    threshold = breakpoints[piece, task]
    order = np.argsort(threshold, kind="stable")
    return Changes(task[order], threshold[order], added[piece, task][order], values[0])


def curve(found: Changes) -> ExactCurve:
    """Return the means after each distinct threshold; changes at the same threshold happen together."""
    tasks = len(found.start)
    means = np.vstack([found.start.sum(axis=0), found.added]).cumsum(axis=0) / tasks
    threshold = np.concatenate([[0.0], found.threshold])
    last_of_its_threshold = np.append(threshold[1:] != threshold[:-1], True)
    return ExactCurve(threshold[last_of_its_threshold], means[last_of_its_threshold])


def _values(replayed: Replayed, models: int) -> NDArray[np.float64]:
    dearest = replayed.choices.called[:, :, models - 1]
    return np.stack(
        [replayed.quality, replayed.cost_usd, replayed.latency_s, ~replayed.escalated, dearest],
        axis=2,
        dtype=np.float64,
    )
