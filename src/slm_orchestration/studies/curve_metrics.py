"""Metrics of a whole quality-cost curve as ESTIMATES: exact on evaluation tasks, with bootstrap intervals.

APGR, CPT and the area (`CURVE_METRICS`) are functions of the curve; AIQ, QNC, RouterArena's score and ΔIBC
(`POINT_METRICS`) are functions of means at a few points. Those points (the vertices of a hull, the cheapest threshold
without loss of quality) are chosen on calibration tasks, so that a resample of evaluation tasks only changes the means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration import tables
from slm_orchestration.routing import sweep
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.references import mixture_models
from slm_orchestration.routing.replay import Overhead, Replayed
from slm_orchestration.routing.strategy import FittedRoutedStrategy, FittedStrategy
from slm_orchestration.routing.sweep import Changes
from slm_orchestration.statistics import curves, intervals, paired_tests
from slm_orchestration.statistics.curves import CostCurve, pair_curve, resample_measures
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.metrics import mixture
from slm_orchestration.statistics.resampling import design
from slm_orchestration.statistics.strategy_matrix import OVERALL

Floats = NDArray[np.float64]
Row = dict[str, object]

COST_TARGETS = 20
CURVE_METRICS = ("apgr", "cpt_50", "cpt_80", "routing_auc")


@dataclass(frozen=True)
class SweptStrategy:
    """One strategy's curves on calibration and evaluation tasks.

    `score` is the predicted gain of the more expensive model of a pair per evaluation task, or None. `point` is quality
    and cost of each evaluation task at the operating point.
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
    """Resamples, seed and level of the intervals."""

    resamples: int
    seed: int
    level: float


def pair_score(strategy: object, outcomes: OutcomeMatrix) -> Floats | None:
    """Return the predicted gain of the more expensive model of a pair; None if there is no such score.

    There is none for other pools, for references, and for routers that read answers.
    """
    if not isinstance(strategy, FittedRoutedStrategy) or len(outcomes.models) != 2:
        return None
    if strategy.pool_info(outcomes.models).readable:
        return None
    quality = strategy.predict(outcomes)(())
    return quality[:, 1] - quality[:, 0]


def changes_on_grid(replayed: Replayed) -> Changes:
    """Return the changes between replayed thresholds, for strategies whose exact breakpoints are not known."""
    choices = replayed.choices
    most_expensive = (choices.called if choices.shares is None else choices.shares)[:, :, -1]
    measures = [replayed.quality, replayed.cost_usd, replayed.latency_s, 1 - replayed.escalated, most_expensive]
    values = np.stack(measures, axis=2, dtype=np.float64)
    added = np.diff(values, axis=0)
    piece, task = np.nonzero((added != 0).any(axis=2))
    return Changes(task, replayed.choices.thresholds[piece + 1], added[piece, task], values[0])


def curve_metrics(swept: SweptStrategy, resampling: Resampling) -> pd.DataFrame:
    """Return ESTIMATES, overall; of pairs with a score also RouteLLM's versions of APGR and CPT, without intervals."""
    rows = _resampled(swept, resampling)
    without_interval: dict[str, Callable[[], float]] = {}
    if swept.score is not None:
        score, pair = swept.score, swept.evaluation.quality.T
        share = curves.deferral_curve(score, *pair)
        without_interval |= {
            "apgr_of_ten": lambda: curves.apgr_of_ten(*share),
            "apgr_of_quantiles": lambda: curves.apgr_of_quantiles(score, *pair),
            "cpt_50_interpolated": lambda: curves.cpt_interpolated(*share, 0.5),
            "cpt_80_interpolated": lambda: curves.cpt_interpolated(*share, 0.8),
        }
    for metric, value in without_interval.items():
        try:
            rows.append({"metric": metric, "estimate": value(), "method": "exact; no interval computed"})
        except UndefinedStatistic as reason:
            rows.append({"metric": metric, "method": f"undefined: {reason}"})
    frame = pd.DataFrame(rows, columns=["metric", "estimate", "low", "high", "method"]).assign(
        strategy=swept.strategy, domain=OVERALL, level=resampling.level, tasks=len(swept.evaluation)
    )
    return tables.conform(frame.sort_values("metric", ignore_index=True), tables.ESTIMATES)


def cost_curve(changes: Changes, outcomes: OutcomeMatrix) -> CostCurve:
    """Return the curve of quality over cost in the form that can be resampled."""
    columns = [sweep.MEASURES.index(name) for name in ("quality", "cost_usd", "most_expensive_share")]
    ends = [np.column_stack([outcomes.quality[:, model], outcomes.cost_usd[:, model]]) for model in (0, -1)]
    lowest = int(outcomes.quality.mean(axis=0).argmin())
    last = np.append(np.flatnonzero(np.diff(changes.threshold)), changes.threshold.size - 1)
    added = np.ascontiguousarray(changes.added[:, columns])
    return CostCurve(
        changes.start[:, columns], changes.task, added, last, ends[0], ends[1], outcomes.quality[:, lowest]
    )


@dataclass(frozen=True)
class MetricOfMeans:
    """A metric that is a function of the means over tasks of `values` (tasks × columns)."""

    values: Floats
    metric: Callable[[Floats], float]

    def __call__(self, means: Floats) -> Floats:
        """Return the metric of each row of means, NaN where it is undefined."""
        found = np.full(len(means), np.nan)
        for row, mean in enumerate(means):
            try:
                found[row] = self.metric(mean)
            except UndefinedStatistic:
                continue
        return found


def aiq(swept: SweptStrategy) -> MetricOfMeans:
    """Return RouterBench's AIQ, with the vertices of the hull on calibration tasks.

    The denominator is the same for every strategy: the mean cost of calling every model of the pool on each task, the
    most that calls can cost. What samples and predictions cost beyond it is cut off.
    """
    tuned = sweep.curve(swept.on_calibration)
    cost = tuned["cost_usd"][curves.upper_hull(tuned["cost_usd"], tuned["quality"])]
    vertices = np.unique([tuned.threshold[np.flatnonzero(tuned["cost_usd"] == vertex)[0]] for vertex in cost])
    at = np.stack([_at(swept.on_evaluation, threshold) for threshold in vertices], axis=2)

    def metric(means: Floats) -> float:
        quality, paid = means[:-1].reshape(2, -1)
        return curves.aiq(np.minimum(paid, means[-1]), quality, largest_cost=float(means[-1]))

    return MetricOfMeans(np.column_stack([at.reshape(len(at), -1), swept.evaluation.cost_usd.sum(axis=1)]), metric)


def qnc(swept: SweptStrategy) -> MetricOfMeans:
    """Return the quality-neutral cost: the least cost without loss of quality over that of the best single model.

    Threshold and best model are chosen on calibration tasks.
    """
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
    return MetricOfMeans(np.column_stack([paid, swept.evaluation.cost_usd[:, best]]), metric)


def mean_gain(swept: SweptStrategy) -> MetricOfMeans:
    """Return the mean gain over the mixture at 20 costs, equally spaced from the cheapest to the most expensive model.

    For each, the threshold whose mean cost on calibration tasks is nearest; the gain is at its own cost on evaluation
    tasks. One operating point of one split cannot rank strategies; this average does better.
    """
    calibration, evaluation = swept.calibration, swept.evaluation
    if calibration.cost_unit != "usd":
        raise UndefinedStatistic("no dollars are recorded")
    tuned, cost = sweep.curve(swept.on_calibration), calibration.cost_usd.mean(axis=0)
    nearest = np.abs(tuned["cost_usd"][:, None] - np.linspace(cost[0], cost[-1], COST_TARGETS)).argmin(axis=0)
    at = np.stack([_at(swept.on_evaluation, threshold) for threshold in tuned.threshold[nearest]], axis=2)
    vertices = mixture_models(calibration)
    guess = evaluation.tasks["guess_quality"].to_numpy(float)
    known = [] if np.isnan(guess).any() else [(np.zeros(len(guess)), guess)]
    hull = known + [(evaluation.cost_usd[:, vertex], evaluation.quality[:, vertex]) for vertex in vertices]
    values = np.column_stack(
        [at.reshape(len(at), -1), *(column for pair in zip(*hull, strict=True) for column in pair)]
    )

    def metric(means: Floats) -> float:
        quality, paid = means[: 2 * COST_TARGETS].reshape(2, -1)
        hull_cost, hull_quality = means[2 * COST_TARGETS :].reshape(2, -1)
        return float(np.mean(quality - mixture(paid[None], hull_cost[None], hull_quality[None])[0]))

    return MetricOfMeans(values, metric)


def mean_gain_of(
    fitted: FittedStrategy, calibration: OutcomeMatrix, evaluation: OutcomeMatrix, overhead: Overhead
) -> float:
    """Return the mean gain over 20 costs; nan for a strategy without a router, whose breakpoints are not known."""
    if not isinstance(fitted, FittedRoutedStrategy) or calibration.cost_unit != "usd":
        return np.nan
    tuned, reported = (fitted.changes(part, overhead=overhead) for part in (calibration, evaluation))
    nowhere = np.zeros(len(evaluation))
    made = mean_gain(SweptStrategy(fitted.name, calibration, evaluation, tuned, reported, None, (nowhere, nowhere)))
    return made.metric(made.values.mean(axis=0))


def arena(swept: SweptStrategy) -> MetricOfMeans:
    """Return RouterArena's score at the operating point."""
    if swept.evaluation.cost_unit != "usd":
        raise UndefinedStatistic("no dollars are recorded")
    return MetricOfMeans(np.column_stack(swept.point), lambda means: curves.arena_score(*means.tolist()))


def ibc(swept: SweptStrategy) -> MetricOfMeans:
    """Return AutoMix's ΔIBC at the operating point."""
    pool = [getattr(swept.evaluation, name)[:, model] for model in (0, -1) for name in ("quality", "cost_usd")]

    def metric(means: Floats) -> float:
        routed, cheap, expensive = ((float(quality), float(cost)) for quality, cost in means.reshape(3, 2))
        return curves.ibc_lift(routed, cheap, expensive)

    return MetricOfMeans(np.column_stack([*swept.point, *pool]), metric)


POINT_METRICS = {
    "mean_gain": mean_gain,
    "aiq": aiq,
    "qnc": qnc,
    "arena_score": arena,
    "ibc_lift": ibc,
}


def _resampled(swept: SweptStrategy, resampling: Resampling) -> list[Row]:
    sampling = design(swept.evaluation.tasks)
    along_cost = cost_curve(swept.on_evaluation, swept.evaluation)
    measure_curve, kind = along_cost.measures, "over cost"
    if swept.score is not None:
        pair, kind = pair_curve(swept.score, *swept.evaluation.quality.T), "over calls of the expensive model"

        def measure_curve(weights: Floats) -> Floats:
            return np.column_stack([pair.measures(weights), along_cost.measures(weights)[:, -1]])

    defined, undefined = _point_metrics(swept)
    values = np.column_stack([np.ones(len(swept.evaluation)), *(metric.values for metric in defined.values())])

    def measure(weights: Floats) -> Floats:
        totals = weights @ values
        return np.column_stack([measure_curve(weights), totals[:, 1:] / totals[:, :1]])

    observed = measure(np.ones((1, len(swept.evaluation))))
    drawn = resample_measures(measure, sampling, resamples=resampling.resamples, seed=resampling.seed)
    gap = swept.evaluation.quality[:, [-1]] - swept.evaluation.quality[:, [0]]
    undetermined = not paired_tests.paired_t(gap, sampling)[1][0] < 1 - resampling.level
    rows, width = _of_curve(observed[0], drawn, undetermined, kind, resampling.level), len(CURVE_METRICS)
    for name, metric in defined.items():
        columns, width = slice(width, width + metric.values.shape[1]), width + metric.values.shape[1]
        try:
            estimate = metric.metric(observed[0, columns])
        except UndefinedStatistic as reason:
            undefined.append({"metric": name, "method": f"undefined: {reason}"})
            continue
        rows.append(
            {"metric": name, "estimate": estimate} | _interval(metric(drawn[:, columns]), resampling.level, "of means")
        )
    return rows + undefined


def _point_metrics(swept: SweptStrategy) -> tuple[dict[str, MetricOfMeans], list[Row]]:
    """Return the point metrics by name, and rows for those that are undefined on calibration tasks."""
    defined: dict[str, MetricOfMeans] = {}
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
            rows.append({"metric": name, "estimate": observed[column]} | _interval(drawn[:, column], level, kind))
    return rows


def _interval(drawn: Floats, level: float, kind: str) -> Row:
    try:
        low, high = intervals.percentile(drawn, level=level)
    except UndefinedStatistic as reason:
        return {"method": f"exact, {kind}; no interval: {reason}"}
    return {"low": low, "high": high, "method": f"exact, {kind}; percentile bootstrap of the curve"}


def _at(changes: Changes, threshold: float) -> Floats:
    """Return each task's quality and cost at a threshold, tasks × 2."""
    before = np.searchsorted(changes.threshold, threshold, side="right")
    task, columns = changes.task[:before], [sweep.MEASURES.index(name) for name in ("quality", "cost_usd")]
    added = [np.bincount(task, changes.added[:before, column], minlength=len(changes.start)) for column in columns]
    return changes.start[:, columns] + np.column_stack(added)
