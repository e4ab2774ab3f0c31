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
from slm_orchestration.routing import exact
from slm_orchestration.routing.exact import Changes
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.reads import guarded
from slm_orchestration.routing.replay import OVERALL, Replayed
from slm_orchestration.routing.strategy import FittedRoutedStrategy
from slm_orchestration.statistics import curves, intervals, paired
from slm_orchestration.statistics.curve_resampling import CostCurve, pair_curve, resample_measures
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.resampling import Design, design

Floats = NDArray[np.float64]
Row = dict[str, object]


@dataclass(frozen=True)
class Sweep:
    """One strategy's curves on calibration and evaluation tasks, and its evaluation means at the operating point.

    `score` ranks tasks by how much the dear model of a pair is needed; None where there is no such score.
    """

    strategy: str
    calibration: OutcomeMatrix
    evaluation: OutcomeMatrix
    on_calibration: Changes
    on_evaluation: Changes
    score: Floats | None
    point: tuple[float, float]


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
    hang_together = design(sweep.evaluation.tasks)
    rows = _resampled(sweep, resampling, hang_together)
    plain: dict[str, Callable[[], float]] = {
        "aiq": lambda: _aiq(sweep),
        "qnc": lambda: _qnc(sweep),
        "arena_score": lambda: _arena(sweep),
        "ibc_lift": lambda: _ibc(sweep),
    }
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


def _resampled(sweep: Sweep, resampling: Resampling, hang_together: Design) -> list[Row]:
    along_cost = cost_curve(sweep.on_evaluation, sweep.evaluation)
    names, measure = ["apgr", "cpt_50", "cpt_80", "routing_auc"], along_cost.measures
    kind = "over cost"
    if sweep.score is not None:
        pair, kind = pair_curve(sweep.score, *sweep.evaluation.quality.T), "over calls of the dear model"

        def measure(weights: Floats) -> Floats:
            return np.column_stack([pair.measures(weights), along_cost.measures(weights)[:, -1]])

    gap = sweep.evaluation.quality[:, [-1]] - sweep.evaluation.quality[:, [0]]
    undetermined = not paired.paired_t(gap, hang_together)[1][0] < 1 - resampling.level
    observed = measure(np.ones((1, len(sweep.evaluation))))[0]
    drawn = resample_measures(measure, hang_together, resamples=resampling.resamples, seed=resampling.seed)
    rows: list[Row] = []
    for column, name in enumerate(names):
        if name != "routing_auc" and undetermined:
            rows.append({"metric": name, "method": "undetermined: the interval of the pool's quality gap holds 0"})
        elif np.isnan(observed[column]):
            rows.append({"metric": name, "method": "undefined: no gap, no range of cost, or never recovered"})
        else:
            rows.append(
                {"metric": name, "estimate": observed[column]} | _ends(drawn[:, column], resampling.level, kind)
            )
    return rows


def _ends(drawn: Floats, level: float, kind: str) -> Row:
    try:
        low, high = intervals.percentile(drawn, level=level)
    except UndefinedStatistic as reason:
        return {"method": f"exact, {kind}; no interval: {reason}"}
    return {"low": low, "high": high, "method": f"exact, {kind}; percentile bootstrap of the curve"}


def _aiq(sweep: Sweep) -> float:
    tuned, reported = exact.curve(sweep.on_calibration), exact.curve(sweep.on_evaluation)
    cost, _ = curves.upper_hull(tuned["cost_usd"], tuned["quality"])
    vertices = np.unique([tuned.threshold[np.flatnonzero(tuned["cost_usd"] == vertex)[0]] for vertex in cost])
    at = np.searchsorted(reported.threshold, vertices, side="right") - 1
    largest = max(float(sweep.evaluation.cost_usd[:, -1].mean()), float(reported["cost_usd"][at].max()))
    return curves.aiq(reported["cost_usd"][at], reported["quality"][at], largest_cost=largest)


def _qnc(sweep: Sweep) -> float:
    tuned, reported = exact.curve(sweep.on_calibration), exact.curve(sweep.on_evaluation)
    quality = sweep.calibration.quality.mean(axis=0)
    best = int(quality.argmax())
    enough = np.flatnonzero(tuned["quality"] >= quality[best] - 1e-12)
    if not enough.size:
        raise UndefinedStatistic("no threshold reaches the best single model's quality on calibration tasks")
    threshold = tuned.threshold[enough[tuned["cost_usd"][enough].argmin()]]
    at = int(np.searchsorted(reported.threshold, threshold, side="right")) - 1
    paid = float(sweep.evaluation.cost_usd[:, best].mean())
    if not paid > 0:
        raise UndefinedStatistic("the best single model costs nothing")
    return float(reported["cost_usd"][at]) / paid


def _arena(sweep: Sweep) -> float:
    if sweep.evaluation.cost_unit != "usd":
        raise UndefinedStatistic("no dollars are recorded")
    return curves.arena_score(*sweep.point)


def _ibc(sweep: Sweep) -> float:
    quality, cost = sweep.evaluation.quality.mean(axis=0), sweep.evaluation.cost_usd.mean(axis=0)
    return curves.ibc_lift(sweep.point, (quality[0], cost[0]), (quality[-1], cost[-1]))
