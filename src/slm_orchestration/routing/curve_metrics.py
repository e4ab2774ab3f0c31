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
from slm_orchestration.routing import exact, point_metrics
from slm_orchestration.routing.exact import Changes
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.point_metrics import OfMeans
from slm_orchestration.routing.reads import guarded
from slm_orchestration.routing.replay import OVERALL, Replayed
from slm_orchestration.routing.strategy import FittedRoutedStrategy
from slm_orchestration.statistics import curves, intervals, paired
from slm_orchestration.statistics.curve_resampling import CostCurve, pair_curve, resample_measures
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.resampling import design

Floats = NDArray[np.float64]
Row = dict[str, object]

CURVE_METRICS = ("apgr", "cpt_50", "cpt_80", "routing_auc")
POINT_METRICS = {
    "aiq": point_metrics.aiq,
    "qnc": point_metrics.qnc,
    "arena_score": point_metrics.arena,
    "ibc_lift": point_metrics.ibc,
}


@dataclass(frozen=True)
class Sweep:
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


def curve_metrics(sweep: Sweep, resampling: Resampling) -> pd.DataFrame:
    """Return ESTIMATES, overall: APGR, CPT and their kin, areas and hulls, and what belongs to the operating point."""
    rows = _resampled(sweep, resampling)
    plain: dict[str, Callable[[], float]] = {}
    if sweep.score is not None:
        score, pair = sweep.score, sweep.evaluation.quality.T
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
        strategy=sweep.strategy, domain=OVERALL, level=resampling.level, tasks=len(sweep.evaluation)
    )
    return tables.conform(frame.sort_values("metric", ignore_index=True), tables.ESTIMATES)


def cost_curve(found: Changes, outcomes: OutcomeMatrix) -> CostCurve:
    """Return the curve of quality over cost that can be resampled."""
    columns = [exact.MEASURES.index(name) for name in ("quality", "cost_usd", "dearest_share")]
    ends = [np.column_stack([outcomes.quality[:, model], outcomes.cost_usd[:, model]]) for model in (0, -1)]
    worst = int(outcomes.quality.mean(axis=0).argmin())
    last = np.append(np.flatnonzero(np.diff(found.threshold)), found.threshold.size - 1)
    added = np.ascontiguousarray(found.added[:, columns])
    return CostCurve(found.start[:, columns], found.task, added, last, ends[0], ends[1], outcomes.quality[:, worst])


def _resampled(sweep: Sweep, resampling: Resampling) -> list[Row]:
    hang_together = design(sweep.evaluation.tasks)
    along_cost = cost_curve(sweep.on_evaluation, sweep.evaluation)
    measure_curve, kind = along_cost.measures, "over cost"
    if sweep.score is not None:
        pair, kind = pair_curve(sweep.score, *sweep.evaluation.quality.T), "over calls of the dear model"

        def measure_curve(weights: Floats) -> Floats:
            return np.column_stack([pair.measures(weights), along_cost.measures(weights)[:, -1]])

    defined, undefined = _point_metrics(sweep)
    values = np.column_stack([np.ones(len(sweep.evaluation)), *(metric.values for metric in defined.values())])

    def measure(weights: Floats) -> Floats:
        totals = weights @ values
        return np.column_stack([measure_curve(weights), totals[:, 1:] / totals[:, :1]])

    observed = measure(np.ones((1, len(sweep.evaluation))))
    drawn = resample_measures(measure, hang_together, resamples=resampling.resamples, seed=resampling.seed)
    gap = sweep.evaluation.quality[:, [-1]] - sweep.evaluation.quality[:, [0]]
    undetermined = not paired.paired_t(gap, hang_together)[1][0] < 1 - resampling.level
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


def _point_metrics(sweep: Sweep) -> tuple[dict[str, OfMeans], list[Row]]:
    """Return the metrics of a few points by their names, and rows for those that calibration leaves undefined."""
    defined: dict[str, OfMeans] = {}
    undefined: list[Row] = []
    for name, made in POINT_METRICS.items():
        try:
            defined[name] = made(sweep)
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
