"""The metrics of METRICS.md that belong to a whole curve, as ESTIMATES: exact on evaluation tasks, with intervals.

Whatever has to be chosen along a curve (the vertices of a hull, the threshold of no loss) is chosen on calibration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration import tables
from slm_orchestration.routing import sweep
from slm_orchestration.routing.access import guarded
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import OVERALL, Replayed
from slm_orchestration.routing.strategy import FittedRoutedStrategy
from slm_orchestration.routing.sweep import Changes
from slm_orchestration.statistics import curves, intervals, paired_tests
from slm_orchestration.statistics.curves import CostCurve, pair_curve, resample_measures
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.resampling import design

Floats = NDArray[np.float64]
Row = dict[str, object]

CURVE_METRICS = ("apgr", "cpt_50", "cpt_80", "routing_auc")


@dataclass(frozen=True)
class SweptStrategy:
    """One strategy's curves on calibration and evaluation tasks.

    `score` ranks tasks by how much the dear model of a pair is needed; None where there is no such score. `point` holds
    the quality and the cost of each evaluation task at the operating point.
    """

    strategy: str
    calibration: OutcomeMatrix
    evaluation: OutcomeMatrix
    on_calibration: Changes
    on_evaluation: Changes
    score: Floats | None
    point: tuple[Floats, Floats]


@dataclass(frozen=True)
class Resampling:
    """How intervals are made."""

    resamples: int
    seed: int
    level: float


def pair_score(strategy: object, outcomes: OutcomeMatrix) -> Floats | None:
    """Return the predicted gain of the dear model over the cheap one, for a router of a pair that reads no answers."""
    if not isinstance(strategy, FittedRoutedStrategy) or len(outcomes.models) != 2 or strategy.terms(outcomes).readable:
        return None
    quality = guarded(strategy.router, outcomes)(())
    return quality[:, 1] - quality[:, 0]


def changes_on_grid(replayed: Replayed) -> Changes:
    """Return what changes between the replayed thresholds: for strategies whose breakpoints are not known exactly."""
    dearest = replayed.choices.called[:, :, -1]
    measures = [replayed.quality, replayed.cost_usd, replayed.latency_s, ~replayed.escalated, dearest]
    values = np.stack(measures, axis=2, dtype=np.float64)
    added = np.diff(values, axis=0)
    piece, task = np.nonzero((added != 0).any(axis=2))
    return Changes(task, replayed.choices.thresholds[piece + 1], added[piece, task], values[0])


def curve_metrics(swept: SweptStrategy, resampling: Resampling) -> pd.DataFrame:
    """Return ESTIMATES, overall: APGR, CPT and their kin, areas and hulls, and what belongs to the operating point."""
    rows = _resampled(swept, resampling)
    plain: dict[str, Callable[[], float]] = {}
    if swept.score is not None:
        score, pair = swept.score, swept.evaluation.quality.T
        share = curves.deferral_curve(score, *pair)
        plain |= {
            "apgr_of_ten": lambda: curves.apgr_of_ten(*share),
            "apgr_of_quantiles": lambda: curves.apgr_of_quantiles(score, *pair),
            "cpt_50_interpolated": lambda: curves.cpt_interpolated(*share, 0.5),
            "cpt_80_interpolated": lambda: curves.cpt_interpolated(*share, 0.8),
        }
    for metric, value in plain.items():
        try:
            rows.append({"metric": metric, "estimate": value(), "method": "exact; no interval computed"})
        except UndefinedStatistic as reason:
            rows.append({"metric": metric, "method": f"undefined: {reason}"})
    frame = pd.DataFrame(rows, columns=["metric", "estimate", "low", "high", "method"]).assign(
        strategy=swept.strategy, domain=OVERALL, level=resampling.level, tasks=len(swept.evaluation)
    )
    return tables.conform(frame.sort_values("metric", ignore_index=True), tables.ESTIMATES)


def cost_curve(found: Changes, outcomes: OutcomeMatrix) -> CostCurve:
    """Return the curve of quality over cost that can be resampled."""
    columns = [sweep.MEASURES.index(name) for name in ("quality", "cost_usd", "dearest_share")]
    ends = [np.column_stack([outcomes.quality[:, model], outcomes.cost_usd[:, model]]) for model in (0, -1)]
    worst = int(outcomes.quality.mean(axis=0).argmin())
    last = np.append(np.flatnonzero(np.diff(found.threshold)), found.threshold.size - 1)
    added = np.ascontiguousarray(found.added[:, columns])
    return CostCurve(found.start[:, columns], found.task, added, last, ends[0], ends[1], outcomes.quality[:, worst])


def _resampled(swept: SweptStrategy, resampling: Resampling) -> list[Row]:
    hang_together = design(swept.evaluation.tasks)
    along_cost = cost_curve(swept.on_evaluation, swept.evaluation)
    measure_curve, kind = along_cost.measures, "over cost"
    if swept.score is not None:
        pair, kind = pair_curve(swept.score, *swept.evaluation.quality.T), "over calls of the dear model"

        def measure_curve(weights: Floats) -> Floats:
            return np.column_stack([pair.measures(weights), along_cost.measures(weights)[:, -1]])

    defined, undefined = _point_metrics(swept)
    values = np.column_stack([np.ones(len(swept.evaluation)), *(metric.values for metric in defined.values())])

    def measure(weights: Floats) -> Floats:
        totals = weights @ values
        return np.column_stack([measure_curve(weights), totals[:, 1:] / totals[:, :1]])

    observed = measure(np.ones((1, len(swept.evaluation))))
    drawn = resample_measures(measure, hang_together, resamples=resampling.resamples, seed=resampling.seed)
    gap = swept.evaluation.quality[:, [-1]] - swept.evaluation.quality[:, [0]]
    undetermined = not paired_tests.paired_t(gap, hang_together)[1][0] < 1 - resampling.level
    rows, width = _of_curve(observed[0], drawn, undetermined, kind, resampling.level), len(CURVE_METRICS)
    for name, metric in defined.items():
        here, width = slice(width, width + metric.values.shape[1]), width + metric.values.shape[1]
        try:
            estimate = metric.metric(observed[0, here])
        except UndefinedStatistic as reason:
            undefined.append({"metric": name, "method": f"undefined: {reason}"})
            continue
        rows.append(
            {"metric": name, "estimate": estimate} | _ends(metric(drawn[:, here]), resampling.level, "of means")
        )
    return rows + undefined


def _point_metrics(swept: SweptStrategy) -> tuple[dict[str, OfMeans], list[Row]]:
    """Return the metrics of a few points by their names, and rows for those that calibration leaves undefined."""
    defined: dict[str, OfMeans] = {}
    undefined: list[Row] = []
    for name, made in POINT_METRICS.items():
        try:
            defined[name] = made(swept)
        except UndefinedStatistic as reason:
            undefined.append({"metric": name, "method": f"undefined: {reason}"})
    return defined, undefined


def _of_curve(observed: Floats, drawn: Floats, undetermined: bool, kind: str, level: float) -> list[Row]:
    rows: list[Row] = []
    for column, name in enumerate(CURVE_METRICS):
        if name != "routing_auc" and undetermined:
            rows.append({"metric": name, "method": "undetermined: the interval of the pool's quality gap holds 0"})
        elif np.isnan(observed[column]):
            rows.append({"metric": name, "method": "undefined: no gap, no range of cost, or never recovered"})
        else:
            rows.append({"metric": name, "estimate": observed[column]} | _ends(drawn[:, column], level, kind))
    return rows


def _ends(drawn: Floats, level: float, kind: str) -> Row:
    try:
        low, high = intervals.percentile(drawn, level=level)
    except UndefinedStatistic as reason:
        return {"method": f"exact, {kind}; no interval: {reason}"}
    return {"low": low, "high": high, "method": f"exact, {kind}; percentile bootstrap of the curve"}


# ========== Metrics of a few points of a curve: AIQ, QNC, RouterArena's score and ΔIBC, as functions of means over tasks.
#
# What has to be chosen (the vertices of a hull, the threshold of no loss) is chosen on calibration tasks, so that a
# resample of evaluation tasks only changes the means.
#
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


def aiq(swept: SweptStrategy) -> OfMeans:
    """Return RouterBench's AIQ; the hull's vertices are those of calibration."""
    tuned = sweep.curve(swept.on_calibration)
    cost, _ = curves.upper_hull(tuned["cost_usd"], tuned["quality"])
    vertices = np.unique([tuned.threshold[np.flatnonzero(tuned["cost_usd"] == vertex)[0]] for vertex in cost])
    at = np.stack([_at(swept.on_evaluation, threshold) for threshold in vertices], axis=2)

    def metric(means: Floats) -> float:
        quality, paid = means[:-1].reshape(2, -1)
        return curves.aiq(paid, quality, largest_cost=max(float(means[-1]), float(paid.max())))

    return OfMeans(np.column_stack([at.reshape(len(at), -1), swept.evaluation.cost_usd[:, -1]]), metric)


def qnc(swept: SweptStrategy) -> OfMeans:
    """Return the quality-neutral cost; the best single model and the threshold are those of calibration."""
    tuned, quality = sweep.curve(swept.on_calibration), swept.calibration.quality.mean(axis=0)
    best = int(quality.argmax())
    enough = np.flatnonzero(tuned["quality"] >= quality[best] - 1e-12)
    if not enough.size:
        raise UndefinedStatistic("no threshold reaches the best single model's quality on calibration tasks")
    threshold = tuned.threshold[enough[tuned["cost_usd"][enough].argmin()]]

    def metric(means: Floats) -> float:
        if not means[1] > 0:
            raise UndefinedStatistic("the best single model costs nothing")
        return float(means[0] / means[1])

    paid = _at(swept.on_evaluation, float(threshold))[:, 1]
    return OfMeans(np.column_stack([paid, swept.evaluation.cost_usd[:, best]]), metric)


def arena(swept: SweptStrategy) -> OfMeans:
    """Return RouterArena's score at the operating point."""
    if swept.evaluation.cost_unit != "usd":
        raise UndefinedStatistic("no dollars are recorded")
    return OfMeans(np.column_stack(swept.point), lambda means: curves.arena_score(*means.tolist()))


def ibc(swept: SweptStrategy) -> OfMeans:
    """Return AutoMix's ΔIBC at the operating point."""
    pool = [getattr(swept.evaluation, name)[:, model] for model in (0, -1) for name in ("quality", "cost_usd")]

    def metric(means: Floats) -> float:
        routed, cheap, dear = ((float(quality), float(cost)) for quality, cost in means.reshape(3, 2))
        return curves.ibc_lift(routed, cheap, dear)

    return OfMeans(np.column_stack([*swept.point, *pool]), metric)


POINT_METRICS = {
    "aiq": aiq,
    "qnc": qnc,
    "arena_score": arena,
    "ibc_lift": ibc,
}


def _at(found: Changes, threshold: float) -> Floats:
    """Return each task's quality and cost at a threshold, tasks × 2."""
    before = np.searchsorted(found.threshold, threshold, side="right")
    task, columns = found.task[:before], [sweep.MEASURES.index(name) for name in ("quality", "cost_usd")]
    added = [np.bincount(task, found.added[:before, column], minlength=len(found.start)) for column in columns]
    return found.start[:, columns] + np.column_stack(added)
