"""Fit one strategy on other splits of the same tasks, to see how much its results vary with the split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from slm_orchestration import tables
from slm_orchestration.routing.evaluation import evaluate
from slm_orchestration.routing.operating_point import OperatingPoint
from slm_orchestration.routing.outcome_matrix import PAID, OutcomeMatrix
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.strategy import FittedStrategy, Strategy, declared
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.sensitivity import over_refits
from slm_orchestration.statistics.strategy_matrix import OVERALL
from slm_orchestration.studies.curve_metrics import mean_gain_of
from slm_orchestration.studies.run_summary import gain_over, mixture_points

SHARES = {"fit": 0.3, "calibration": 0.2, "evaluation": 0.5}
METRICS = (
    "mean_gain",
    "gain_over_mixture",
    "quality",
    "retention",
    "cost_saving",
    "latency_reduction",
    "device_seconds_saved",
    "small_share",
)
MeasureOverhead = Callable[[FittedStrategy, OutcomeMatrix], Overhead]


def resplit(outcomes: OutcomeMatrix, rng: np.random.Generator) -> OutcomeMatrix:
    """Return the outcomes with whole groups assigned at random to fit, calibration and evaluation by `SHARES`."""
    groups, code = np.unique(outcomes.tasks["group"].to_numpy(str), return_inverse=True)
    position = rng.permutation(groups.size) / groups.size
    ends = np.cumsum(list(SHARES.values()))[:-1]
    split = np.array(list(SHARES))[np.searchsorted(ends, position, side="right")]
    return replace(outcomes, tasks=outcomes.tasks.assign(split=split[code]))


def fold_splits(
    outcomes: OutcomeMatrix, folds: int, rng: np.random.Generator, *, by: str = "group", fit_tasks: int | None = None
) -> Iterator[OutcomeMatrix]:
    """Yield the outcomes once per fold, which then is the evaluation split; each task is in one fold.

    `by` is the column whose values are dealt into folds whole: group, or dataset or domain, so that none of a fold's
    was seen before. Of the other groups, as many are fit and calibration tasks as in `SHARES` of all, or about
    `fit_tasks` fit tasks; the rest are left out. Raises ValueError where that leaves a fold without evaluation tasks,
    or too few groups to fit on.
    """
    groups, code = np.unique(outcomes.tasks["group"].to_numpy(str), return_inverse=True)
    units, unit = np.unique(outcomes.tasks[by].to_numpy(str), return_inverse=True)
    if folds > units.size:
        raise ValueError(f"folds={folds}: the tasks have only {units.size} values of {by!r} to be dealt into folds")
    order = rng.permutation(units.size)
    share = SHARES["fit"] if fit_tasks is None else fit_tasks / len(outcomes)
    ends = np.round(np.cumsum([share, SHARES["calibration"]]) * groups.size).astype(int)
    for fold in range(folds):
        evaluation = (order % folds == fold)[unit]
        others = rng.permutation(np.setdiff1d(np.arange(groups.size), code[evaluation]))
        if ends[1] > others.size:
            raise ValueError(f"{folds} folds leave {others.size} groups, and {ends[1]} are to be fit and calibration")
        of_group = np.full(groups.size, "", dtype="<U11")
        of_group[others[: ends[0]]], of_group[others[ends[0] : ends[1]]] = "fit", "calibration"
        split = np.where(evaluation, "evaluation", of_group[code])
        yield replace(outcomes, tasks=outcomes.tasks.assign(split=split)).take(np.flatnonzero(split != ""))


def refit(
    outcomes: OutcomeMatrix,
    strategy: Strategy,
    operating_point: OperatingPoint,
    grid: Sequence[float],
    overhead_of: MeasureOverhead,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit, choose a threshold on calibration tasks and replay on evaluation tasks, as `experiments.run` does.

    Returns a row per strategy (a constant strategy has one per model) with `METRICS` at the operating point, and the
    curves: strategy, threshold, and quality and cost over those of the most expensive model.
    """
    calibration, evaluation = outcomes.where("calibration"), outcomes.where("evaluation")
    fitted = strategy.fit(outcomes.where("fit"), calibration)
    overhead = overhead_of(fitted, calibration)
    vertices = mixture_points(calibration, evaluation)
    points, curves = [], []
    last = {name: float(getattr(evaluation, name)[:, -1].mean()) for name in ("quality", *PAID)}
    reads = declared(strategy)
    for found in evaluate(
        fitted, operating_point, calibration, evaluation, reads=reads, thresholds=grid, overhead=overhead
    ):
        at, point, replayed = found.served, found.position, found.on_evaluation
        quality = float(at.quality[point].mean())
        paid = {measure: float(getattr(at, measure)[point].mean()) for measure in PAID}
        values = (
            mean_gain_of(fitted, calibration, evaluation, overhead),
            float(gain_over(vertices, paid["cost_usd"], quality)),
            quality,
            quality / last["quality"] if last["quality"] > 0 else np.nan,
            last["cost_usd"] / paid["cost_usd"] if paid["cost_usd"] > 0 else np.nan,
            last["latency_s"] / paid["latency_s"] if paid["latency_s"] > 0 else np.nan,
            1 - paid["device_s"] / last["device_s"] if last["device_s"] > 0 else np.nan,
            1 - float(at.escalated[point].mean()),
        )
        points.append({"strategy": found.name} | dict(zip(METRICS, values, strict=True)))
        curves.append(
            pd.DataFrame(
                {
                    "strategy": found.name,
                    "threshold": found.choices.thresholds,
                    "quality": replayed.quality.mean(axis=1),
                    "cost_share": replayed.cost_usd.mean(axis=1) / last["cost_usd"],
                    "quality_of_last": last["quality"],
                    "tasks": len(evaluation),
                }
            )
        )
    return pd.DataFrame(points), pd.concat(curves, ignore_index=True)


def cost_share_at(curve: pd.DataFrame, quality: float) -> float:
    """Return the least cost at which mixing two neighbouring thresholds of a curve reaches `quality`; nan if none does.

    `curve` has the columns quality and cost_share, as `refit` returns them; several folds are averaged by threshold.
    """
    mean = curve.groupby("threshold")[["quality", "cost_share"]].mean().sort_values("cost_share")
    reached, cost = mean["quality"].to_numpy(), mean["cost_share"].to_numpy()
    above = np.flatnonzero(reached >= quality)
    if not above.size:
        return np.nan
    first = int(above[0])
    if first == 0:
        return float(cost[0])
    return float(np.interp(quality, reached[first - 1 : first + 1], cost[first - 1 : first + 1]))


def fold_estimates(points: pd.DataFrame, curves: pd.DataFrame, *, folds: int, level: float) -> pd.DataFrame:
    """Return ESTIMATES of every strategy over all folds: the mean of each metric, its interval corrected for overlap.

    `points` and `curves` are those of `refit`, of all folds. Beside METRICS, cost_share_95 and cost_share_100 are the
    share of the most expensive model's cost at which that much of its quality is reached, without an interval.
    """
    rows: list[dict[str, object]] = []
    tasks = int(curves.groupby(["repeat", "strategy", "threshold"], dropna=False)["tasks"].sum().max())
    for strategy, values in points.groupby("strategy"):
        curve = curves[curves["strategy"] == strategy]
        for metric in METRICS:
            row: dict[str, object] = {"strategy": strategy, "metric": metric, "method": f"mean of {len(values)} fits"}
            try:
                effect = over_refits(
                    values[metric].to_numpy(float), test_over_training=1 / folds / SHARES["fit"], level=level
                )
            except UndefinedStatistic as reason:
                rows.append(row | {"method": f"undefined: {reason}"})
                continue
            method = f"mean of {len(values)} fits, variance corrected for overlap (Nadeau & Bengio 2003)"
            rows.append(row | {"estimate": effect.estimate, "low": effect.low, "high": effect.high, "method": method})
        for share in (95, 100):
            reached = cost_share_at(curve, share / 100 * float(curve["quality_of_last"].mean()))
            method = (
                "mean curve of all folds; no interval computed" if np.isfinite(reached) else "undefined: never reached"
            )
            rows.append({"strategy": strategy, "metric": f"cost_share_{share}", "estimate": reached, "method": method})
    frame = pd.DataFrame(rows, columns=["strategy", "metric", "estimate", "low", "high", "method"])
    return tables.conform(frame.assign(domain=OVERALL, level=level, tasks=tasks), tables.ESTIMATES)
