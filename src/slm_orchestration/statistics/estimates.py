"""Estimates of every metric of every strategy at its operating point, with interval and method."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration import tables
from slm_orchestration.statistics import intervals
from slm_orchestration.statistics.bootstrap import MEAN, RATIO_TO_MOST_EXPENSIVE, ResampledMeans, studentised_interval
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.metrics import METRICS
from slm_orchestration.statistics.strategy_matrix import EQUALS_CONSTANT, MACRO, OVERALL, StrategyMatrix

Floats = NDArray[np.float64]
Row = dict[str, object]

# Below this many groups the simulated coverage of statistics.validation leaves 93.5 to 96.5 %; the method then says so.
FEWEST_GROUPS = 100
_UNDEFINED = {
    "retention": "undefined: the most expensive model is never right",
    "cost_saving": "undefined: the strategy costs nothing",
    "device_seconds_saved": "undefined: device seconds of the strategy or the most expensive model are not recorded",
    "latency_reduction": "undefined: the strategy takes no time",
    "latency_reduction_p50": "undefined: the strategy's median task takes no time",
    "gain_with_classifier": "undefined: the classifier was not run",
    "gain_over_mixture": "undefined: the mixture's models do not increase in cost, in their order, on these tasks",
}
_UNMEASURED = {"cost_usd": "no dollars are recorded", "latency_s": "no seconds are recorded"}
# Skewed metrics: the kind and column of the ratio that each is, or is computed from.
_BOOTSTRAP_T = {
    "cost_usd": (MEAN, "cost_usd"),
    "latency_s": (MEAN, "latency_s"),
    "retention": (RATIO_TO_MOST_EXPENSIVE, "quality"),
    "cost_saving": (RATIO_TO_MOST_EXPENSIVE, "cost_usd"),
    "latency_reduction": (RATIO_TO_MOST_EXPENSIVE, "latency_s"),
    "device_seconds_saved": (RATIO_TO_MOST_EXPENSIVE, "device_s"),
}
_GAPS = {
    "retention": "the most expensive model's quality",
    "retention_corrected": "the most expensive model's gain over guess",
    "pgr": "the pool's quality gap",
}


def summarise(parts: dict[str, ResampledMeans], *, level: float) -> pd.DataFrame:
    """Return ESTIMATES of every strategy, domain and metric of METRICS.md.

    A metric that these tasks cannot determine has a null estimate, and `method` says why in words.
    """
    rows: list[Row] = []
    for part in parts.values():
        for metric in METRICS:
            if metric == "small_share":
                rows += _share_rows(part, level)
            elif metric in _GAPS:
                rows += _ratio_rows(part, metric, level)
            else:
                rows += _rows(part, metric, level)
        if part.domain.name != MACRO:  # a median is of tasks, not of domains
            rows += _median_rows(part, level)
    frame = pd.DataFrame(rows).assign(level=level)
    return tables.conform(frame.sort_values(["strategy", "domain", "metric"], ignore_index=True), tables.ESTIMATES)


def constants_in_disguise(matrix: StrategyMatrix, *, level: float) -> pd.DataFrame:
    """Return as ESTIMATES which strategies call one model on every task; `method` names the constant."""
    rows = [
        {"strategy": name, "metric": EQUALS_CONSTANT, "estimate": 1.0, "low": np.nan, "high": np.nan, "method": other}
        for name, other in matrix.equal_to_constants().items()
    ]
    frame = pd.DataFrame(rows, columns=["strategy", "metric", "estimate", "low", "high", "method"])
    return tables.conform(frame.assign(domain=OVERALL, level=level, tasks=len(matrix.tasks)), tables.ESTIMATES)


def bootstrap_interval(
    estimate: float, resampled: Floats, influence: Floats, *, level: float
) -> tuple[float, float, str]:
    """Return low, high and the method: BCa, or percentile where BCa is undefined. Raises where nothing varies."""
    try:
        return *intervals.bca(resampled, estimate, influence, level=level), "BCa bootstrap"
    except UndefinedStatistic as reason:
        return *intervals.percentile(resampled, level=level), f"percentile bootstrap, as {reason}"


def _rows(part: ResampledMeans, metric: str, level: float) -> list[Row]:
    observed, resampled, influence = part.values(METRICS[metric])
    rows = []
    for index, estimate in enumerate(observed):
        if np.isnan(estimate):
            rows.append(_row(part, index, metric, method=_undefined(part, metric)))
            continue
        try:
            low, high, method = _studentised(part, metric, index, level) or bootstrap_interval(
                estimate, resampled[index], influence[index], level=level
            )
            rows.append(
                _row(
                    part,
                    index,
                    metric,
                    estimate,
                    (low, high),
                    method + _small_sample_note(part) + _cost_note(part, metric),
                )
            )
        except UndefinedStatistic as reason:
            rows.append(_without_spread(part, index, metric, estimate, level=level, reason=str(reason)))
    return rows


def _studentised(part: ResampledMeans, metric: str, index: int, level: float) -> tuple[float, float, str] | None:
    if metric not in _BOOTSTRAP_T:
        return None
    kind, column = _BOOTSTRAP_T[metric]
    made = studentised_interval(part.studentised[kind][column], index, level=level)
    if made is None or kind == MEAN or metric == "retention":
        return made
    low, high, method = made
    if metric == "device_seconds_saved":
        return 1 - high, 1 - low, method
    return 1 / high, 1 / low, method


def _without_spread(
    part: ResampledMeans, index: int, metric: str, estimate: float, *, level: float, reason: str
) -> Row:
    if metric == "quality" and estimate in (0.0, 1.0):
        # All right or all wrong: the bootstrap has no variance, but a share has an interval.
        ends = intervals.wilson(estimate, part.domain.nonempty_groups, level=level)
        return _row(
            part, index, metric, estimate, ends, f"Wilson score, {part.domain.nonempty_groups} groups all alike"
        )
    return _row(part, index, metric, estimate, method=f"no interval: {reason}")


def _ratio_rows(part: ResampledMeans, metric: str, level: float) -> list[Row]:
    """Ratios of qualities whose denominator may touch 0: undetermined where its own interval holds 0, else Fieller.

    Retention, once its denominator is clear of 0, is a smooth ratio and has a bootstrap interval.
    """
    references = part.observed.references
    if metric == "retention_corrected" and references.guess is None:
        everyone = range(len(part.observed.strategies))
        return [_row(part, index, metric, method="undefined: no answer without a model is known") for index in everyone]
    if metric == "retention":
        floor, bootstrapped = {}, _rows(part, metric, level)
    else:
        floor = {str(references.guess) if metric == "retention_corrected" else references.cheapest: -1.0}
    gap = _minus(references.most_expensive, floor)
    rows = []
    for index, strategy in enumerate(part.observed.strategies):
        above = _minus(strategy, floor)
        ratio = part.quality(above), part.quality(gap)
        try:
            ends = intervals.fieller(*ratio, part.covariance(above, gap), degrees=part.domain.degrees, level=level)
        except UndefinedStatistic as reason:
            why = str(reason).replace("the denominator", _GAPS[metric])
            rows.append(_row(part, index, metric, method=f"undetermined: {why}"))
            continue
        if metric == "retention":
            rows.append(bootstrapped[index])
        elif ends[1] - ends[0] <= 1e-6:
            # On every task the strategy equals the most expensive model, the floor, or a mix of both: the ratio varies
            # by rounding alone, of which Fieller's interval takes the square root.
            rows.append(
                _row(part, index, metric, ratio[0] / ratio[1], method="no interval: the same in every resample")
            )
        else:
            rows.append(_row(part, index, metric, ratio[0] / ratio[1], ends, "Fieller" + _small_sample_note(part)))
    return rows


def _share_rows(part: ResampledMeans, level: float) -> list[Row]:
    """Small shares by Wilson, and the ceiling of the cost saving, 1 / (1 - small_share)."""
    observed, resampled, _ = part.values(METRICS["small_share"])
    rows = []
    tasks = part.domain.tasks
    for index, share in enumerate(observed):
        share = float(np.clip(share, 0.0, 1.0))
        variance = float(np.var(resampled[index]))
        # The effective number of tasks: as many independent ones would have the variance of the resamples.
        trials = (
            min(share * (1 - share) / variance, tasks)
            if variance > 0 and 0 < share < 1
            else float(part.domain.nonempty_groups)
        )
        low, high = intervals.wilson(share, max(trials, 1.0), level=level)
        method = f"Wilson score, {max(trials, 1.0):.0f} effective tasks"
        rows.append(_row(part, index, "small_share", share, (low, high), method))
        if share == 1:
            rows.append(
                _row(
                    part, index, "cost_saving_ceiling", method="undefined: no task is escalated, so there is no ceiling"
                )
            )
        else:
            ends = (1 / (1 - low), 1 / (1 - high) if high < 1 else np.nan)
            rows.append(
                _row(part, index, "cost_saving_ceiling", 1 / (1 - share), ends, "from the interval of small_share")
            )
    return rows


def _median_rows(part: ResampledMeans, level: float) -> list[Row]:
    """The most expensive model's median latency over the strategy's, with percentile intervals."""
    metric = "latency_reduction_p50"
    most_expensive = part.observed.strategies.index(part.observed.references.most_expensive)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = part.median_latency[:, [most_expensive]] / part.median_latency
    rows = []
    for index, (estimate, *_) in enumerate(ratios.T):
        if not np.isfinite(estimate):
            rows.append(_row(part, index, metric, method=_undefined(part, metric)))
            continue
        try:
            ends = intervals.percentile(ratios[1:, index], level=level)
            rows.append(_row(part, index, metric, estimate, ends, "percentile bootstrap" + _small_sample_note(part)))
        except UndefinedStatistic as reason:
            rows.append(_row(part, index, metric, estimate, method=f"no interval: {reason}"))
    return rows


def _minus(strategy: str, floor: dict[str, float]) -> dict[str, float]:
    """Return the combination `strategy` minus `floor`, which is 0 for the floor itself."""
    return {**floor, strategy: 1.0 + floor.get(strategy, 0.0)}


def _undefined(part: ResampledMeans, metric: str) -> str:
    for column, words in _UNMEASURED.items():
        if column in part.observed.references.unmeasured and metric.startswith(column.partition("_")[0]):
            return f"undefined: {words}"
    return _UNDEFINED[metric]


def _cost_note(part: ResampledMeans, metric: str) -> str:
    in_calls = metric == "gain_over_mixture" and "cost_usd" in part.observed.references.unmeasured
    return ", at the same share of calls to models that are not small" if in_calls else ""


def _small_sample_note(part: ResampledMeans) -> str:
    return (
        f", fewer than {FEWEST_GROUPS} groups: may cover less than its level"
        if part.domain.nonempty_groups < FEWEST_GROUPS
        else ""
    )


def _row(
    part: ResampledMeans,
    index: int,
    metric: str,
    estimate: float = np.nan,
    ends: tuple[float, float] = (np.nan, np.nan),
    method: str = "",
) -> Row:
    return {
        "strategy": part.observed.strategies[index],
        "domain": part.domain.name,
        "metric": metric,
        "estimate": estimate,
        "low": ends[0],
        "high": ends[1],
        "tasks": part.domain.tasks,
        "method": method,
    }
