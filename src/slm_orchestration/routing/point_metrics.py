"""Metrics of a few points of a curve: AIQ, QNC, RouterArena's score and ΔIBC, as functions of means over tasks.

What has to be chosen (the vertices of a hull, the threshold of no loss) is chosen on calibration tasks, so that a
resample of evaluation tasks only changes the means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing import exact
from slm_orchestration.routing.exact import Changes
from slm_orchestration.statistics import curves
from slm_orchestration.statistics.intervals import UndefinedStatistic

if TYPE_CHECKING:
    from slm_orchestration.routing.curve_metrics import Sweep

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OfMeans:
    """A metric as a function of the means of `values` (tasks × columns)."""

    values: Floats
    metric: Callable[[Floats], float]

    def __call__(self, means: Floats) -> Floats:
        """Return the metric of each row of means, nan where it is undefined."""
        found = np.full(len(means), np.nan)
        for row, mean in enumerate(means):
            try:
                found[row] = self.metric(mean)
            except UndefinedStatistic:
                continue
        return found


def aiq(sweep: Sweep) -> OfMeans:
    """Return RouterBench's AIQ; the hull's vertices are those of calibration."""
    tuned = exact.curve(sweep.on_calibration)
    cost, _ = curves.upper_hull(tuned["cost_usd"], tuned["quality"])
    vertices = np.unique([tuned.threshold[np.flatnonzero(tuned["cost_usd"] == vertex)[0]] for vertex in cost])
    at = np.stack([_at(sweep.on_evaluation, threshold) for threshold in vertices], axis=2)

    def metric(means: Floats) -> float:
        quality, paid = means[:-1].reshape(2, -1)
        return curves.aiq(paid, quality, largest_cost=max(float(means[-1]), float(paid.max())))

    return OfMeans(np.column_stack([at.reshape(len(at), -1), sweep.evaluation.cost_usd[:, -1]]), metric)


def qnc(sweep: Sweep) -> OfMeans:
    """Return the quality-neutral cost; the best single model and the threshold are those of calibration."""
    tuned, quality = exact.curve(sweep.on_calibration), sweep.calibration.quality.mean(axis=0)
    best = int(quality.argmax())
    enough = np.flatnonzero(tuned["quality"] >= quality[best] - 1e-12)
    if not enough.size:
        raise UndefinedStatistic("no threshold reaches the best single model's quality on calibration tasks")
    threshold = tuned.threshold[enough[tuned["cost_usd"][enough].argmin()]]

    def metric(means: Floats) -> float:
        if not means[1] > 0:
            raise UndefinedStatistic("the best single model costs nothing")
        return float(means[0] / means[1])

    paid = _at(sweep.on_evaluation, float(threshold))[:, 1]
    return OfMeans(np.column_stack([paid, sweep.evaluation.cost_usd[:, best]]), metric)


def arena(sweep: Sweep) -> OfMeans:
    """Return RouterArena's score at the operating point."""
    if sweep.evaluation.cost_unit != "usd":
        raise UndefinedStatistic("no dollars are recorded")
    return OfMeans(np.column_stack(sweep.point), lambda means: curves.arena_score(*means.tolist()))


def ibc(sweep: Sweep) -> OfMeans:
    """Return AutoMix's ΔIBC at the operating point."""
    pool = [getattr(sweep.evaluation, name)[:, model] for model in (0, -1) for name in ("quality", "cost_usd")]

    def metric(means: Floats) -> float:
        routed, cheap, dear = ((float(quality), float(cost)) for quality, cost in means.reshape(3, 2))
        return curves.ibc_lift(routed, cheap, dear)

    return OfMeans(np.column_stack([*sweep.point, *pool]), metric)


def _at(found: Changes, threshold: float) -> Floats:
    """Return each task's quality and cost at a threshold, tasks × 2."""
    before = np.searchsorted(found.threshold, threshold, side="right")
    task, columns = found.task[:before], [exact.MEASURES.index(name) for name in ("quality", "cost_usd")]
    added = [np.bincount(task, found.added[:before, column], minlength=len(found.start)) for column in columns]
    return found.start[:, columns] + np.column_stack(added)
