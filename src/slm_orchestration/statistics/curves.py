"""Metrics of whole curves, quality over the share of calls or over cost, and their bootstrap.

Names and definitions are those of the cited projects; where a published code differs from its paper, both are here.
All functions take arrays and raise UndefinedStatistic where the input does not determine the metric.

In the bootstrap, tasks are sorted once. A resample only changes their weights, and its curve is a cumulative sum of
weighted changes. Resamples are measured in blocks that fit the processor's cache; threads would not help, because
numpy's cumulative sums hold the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics.grid import ROUNDING
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.resampling import Design

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Measure = Callable[[Floats], Floats]

# Resamples drawn from one generator, so that any chunk can be drawn again without the others.
_CHUNK = 250
# Resamples × tasks measured at a time: a quarter of a megabyte.
_BLOCK_CELLS = 2**15

# RouterArena's range of dollars per 1,000 tasks, and the weight of cost against accuracy.
ARENA_COSTS, ARENA_BETA = (0.0044, 200.0), 0.1


def deferral_curve(score: Floats, cheap: Floats, expensive: Floats) -> tuple[Floats, Floats]:
    """Return the share of calls to the expensive model and the mean quality at every breakpoint, from no call to all.

    Tasks of the highest `score` go to the expensive model first; tasks of equal score go together, and a straight
    line joins the points before and after them. `cheap` and `expensive` are the qualities of both models on each task.
    """
    if not score.size == cheap.size == expensive.size > 0:
        raise ValueError(f"all three need the same tasks, got {score.size}, {cheap.size} and {expensive.size}")
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)
    gains = np.cumsum((expensive - cheap)[order])[last_of_tie]
    share = np.append(0.0, (last_of_tie + 1) / score.size)
    return share, cheap.mean() + np.append(0.0, gains / score.size)


def pgr(quality: Floats, cheap: float, expensive: float) -> Floats:
    """Return the performance gap recovered, (q - q_S) / (q_L - q_S) (Ong et al. 2024, RouteLLM, equation 5)."""
    if expensive == cheap:
        raise UndefinedStatistic("there is no gap in quality to recover: both models are equally good")
    return (np.asarray(quality) - cheap) / (expensive - cheap)


def apgr(share: Floats, quality: Floats) -> float:
    """Return the exact area of PGR over the share of calls, of a curve from no call to all (`deferral_curve`)."""
    _check_full_range(share)
    return float(np.trapezoid(pgr(quality, quality[0], quality[-1]), share))


def apgr_of_ten(share: Floats, quality: Floats) -> float:
    """Return the mean PGR at ten shares spread evenly from 0 to 1: APGR as RouteLLM's paper words it.

    The paper does not name the ten shares; with these, random routing scores the 0.5 that it reports.
    """
    _check_full_range(share)
    at = np.interp(np.linspace(0, 1, 10), share, quality)
    return float(np.mean(pgr(at, quality[0], quality[-1])))


def apgr_of_quantiles(score: Floats, cheap: Floats, expensive: Floats, *, bins: int = 10) -> float:
    """Return APGR as RouteLLM's published code computes it (evals/evaluate.py, commit 0b64fda).

    Thresholds are the edges of equally filled bins of the score; the area is the trapezoid's between the shares that
    these reach, and both constants' areas are taken over the same range.
    """
    edges = np.quantile(score, np.linspace(0, 1, bins + 1))
    # The highest edge sends no task to the expensive model.
    called = np.vstack([score >= edge for edge in edges[:-1]] + [score > edges[-1]])
    share = called.mean(axis=1)[::-1]
    quality = np.where(called, expensive, cheap).mean(axis=1)[::-1]
    width = share[-1] - share[0]
    return float(pgr(np.trapezoid(quality, share) / width, cheap.mean(), expensive.mean()))


def cpt(share: Floats, quality: Floats, recovered: float) -> float:
    """Return the call-performance threshold, exactly: the smallest share of calls whose PGR reaches `recovered`."""
    _check_full_range(share)
    gap = pgr(quality, quality[0], quality[-1]) - recovered
    reached = np.flatnonzero(gap >= -ROUNDING)
    if not reached.size:
        raise UndefinedStatistic(f"the curve never recovers {recovered:g} of the gap")
    first = int(reached[0])
    if first == 0:
        return float(share[0])
    rise = gap[first] - gap[first - 1]
    return float(share[first] - gap[first] / rise * (share[first] - share[first - 1]))


def cpt_interpolated(share: Floats, quality: Floats, recovered: float) -> float:
    """Return RouteLLM's CPT: the share interpolated in quality, right only where quality never falls with the share."""
    _check_full_range(share)
    return float(np.interp(quality[0] + recovered * (quality[-1] - quality[0]), quality, share))


def upper_hull(cost: Floats, quality: Floats) -> list[int]:
    """Return the indices of the points (cost, quality) on their non-decreasing upper hull, cheapest first."""
    hull: list[int] = []
    for point in np.lexsort((-quality, cost)):
        if hull and quality[point] <= quality[hull[-1]]:
            continue
        while len(hull) >= 2 and not _right_turn(hull[-2], hull[-1], point, cost, quality):
            hull.pop()
        hull.append(int(point))
    return hull


def aiq(cost: Floats, quality: Floats, *, largest_cost: float) -> float:
    """Return the average improvement in quality (Hu et al. 2024, RouterBench): the hull's area over the largest cost.

    As in the published code (evaluation/AIQ.py), the area begins at the hull's cheapest vertex, ends flat at the
    largest cost, one for all routers compared, and is divided by that cost, not by the range. Vertices are chosen on
    calibration: the hull over every threshold of the reported tasks is biased upwards.
    """
    hull = upper_hull(cost, quality)
    x, y = cost[hull], quality[hull]
    if not largest_cost >= x[-1] > 0:
        raise UndefinedStatistic(f"the largest cost must be above 0 and no less than {x[-1]:g}, got {largest_cost:g}")
    return float(np.trapezoid(np.append(y, y[-1]), np.append(x, largest_cost)) / largest_cost)


def routing_auc(cost: Floats, quality: Floats, *, costs: tuple[float, float], lowest_quality: float) -> float:
    """Return a curve's mean quality over cost between the cheapest and the most expensive model's mean cost, `costs`.

    To the right of the curve it is flat; to its left the line starts at the cheapest cost and the lowest model quality;
    beyond the largest cost it is cut (Dekoninck et al. 2024, cascade routing; selection/utils.py, auc_all).
    """
    low, high = costs
    if not low < high:
        raise UndefinedStatistic(f"the cost range is empty: cheapest {low:g}, most expensive {high:g}")
    order = np.lexsort((quality, cost))
    x, y = cost[order], quality[order]
    if x[0] > low:
        x, y = np.append(low, x), np.append(lowest_quality, y)
    inside = (x > low) & (x < high)
    ends = np.interp([low, high], x, y)
    return float(np.trapezoid(np.r_[ends[0], y[inside], ends[1]], np.r_[low, x[inside], high]) / (high - low))


def arena_score(accuracy: float, cost_usd: float) -> float:
    """Return RouterArena's score of mean quality and mean US dollars per task (RouterArena 2025, equation 3).

    A weighted harmonic mean of accuracy and of cost on a log scale, cost per 1,000 tasks between 0.0044 and 200
    dollars. Not comparable with the public leaderboard, whose tasks are others.
    """
    low, high = ARENA_COSTS
    per_thousand = 1000 * cost_usd
    if not low <= per_thousand <= high:
        raise UndefinedStatistic(f"{per_thousand:g} USD per 1,000 tasks lies outside {low:g} to {high:g}")
    cost_score = (np.log2(high) - np.log2(per_thousand)) / (np.log2(high) - np.log2(low))
    weighted = ARENA_BETA * accuracy + cost_score
    return float((1 + ARENA_BETA) * accuracy * cost_score / weighted) if weighted > 0 else 0.0


def ibc_lift(routed: tuple[float, float], cheap: tuple[float, float], expensive: tuple[float, float]) -> float:
    """Return AutoMix's ΔIBC from (quality, cost) of the router and both models (Aggarwal et al. 2024, equation 2).

    The slope from the cheap model to the router over that to the expensive one, less 1.
    """
    if expensive[1] == cheap[1] or routed[1] == cheap[1]:
        raise UndefinedStatistic("a slope over no difference in cost is undefined")
    base = (expensive[0] - cheap[0]) / (expensive[1] - cheap[1])
    if base == 0:
        raise UndefinedStatistic("both models are equally good, so the slope between them is 0")
    return ((routed[0] - cheap[0]) / (routed[1] - cheap[1]) - base) / base


def qnc(cost: Floats, quality: Floats, *, best_quality: float, best_cost: float) -> float:
    """Return the quality-neutral cost (Jitkrittum et al. 2025): the least without loss of quality, relative."""
    enough = quality >= best_quality - ROUNDING
    if not enough.any():
        raise UndefinedStatistic("no point of the curve reaches the best single model's quality")
    if best_cost <= 0:
        raise UndefinedStatistic("the best single model costs nothing")
    return float(cost[enough].min() / best_cost)


def resample_measures(measure: Measure, design: Design, *, resamples: int, seed: int) -> Floats:
    """Return resamples × measures: `measure` takes the weights of a block, resamples × tasks.

    Groups are drawn within strata, one fewer than there are, and weighted up by n / (n - 1), as in
    statistics.resampling. Equal seeds give equal values.
    """
    draw = _weight_sampler(design)
    height = max(1, _BLOCK_CELLS // design.group.size)

    def rows(start: int) -> Floats:
        rng, count = np.random.default_rng([seed, start]), min(_CHUNK, resamples - start)
        return np.concatenate([measure(draw(rng, min(height, count - row))) for row in range(0, count, height)])

    return np.concatenate([rows(start) for start in range(0, resamples, _CHUNK)])


@dataclass(frozen=True)
class PairCurve:
    """Quality over the share of calls to the expensive of two models; the highest scores are escalated first.

    `order` sorts tasks by falling score, `last` holds the last position of each run of equal scores, `gain` is the
    difference in quality, expensive minus cheap, in that order.
    """

    order: Indices
    last: Indices
    gain: Floats
    recovered: tuple[float, ...] = (0.5, 0.8)

    def measures(self, weights: Floats) -> Floats:
        """Return resamples × (APGR, CPT(x) for each x of `recovered`), nan where undefined; weights: one row each."""
        weight = weights.take(self.order, axis=1)
        gained = weight * self.gain
        height = np.cumsum(gained, axis=1)
        if self.last.size < self.order.size:  # equal scores escalate together
            height, below = height.take(self.last, axis=1), np.cumsum(weight, axis=1).take(self.last, axis=1)
            weight, gained = (np.diff(values, axis=1, prepend=0.0) for values in (below, height))
        total, gap = weight.sum(axis=1), height[:, -1].copy()
        for values in (height, gained):  # a negative gap is recovered like a positive one
            values[gap < 0] *= -1
        gap = np.where(gap == 0, np.nan, np.abs(gap))
        row, found = np.arange(len(weight)), np.empty((len(weight), 1 + len(self.recovered)))
        found[:, 0] = (_row_products(weight, height) - 0.5 * _row_products(weight, gained)) / (total * gap)
        for place, wanted in enumerate(self.recovered, start=1):
            first = (height >= (wanted * gap - ROUNDING * total)[:, None]).argmax(axis=1)
            missing = wanted * gap - (height[row, first] - gained[row, first])
            before = np.array([values[:end].sum() for values, end in zip(weight, first.tolist(), strict=True)])
            with np.errstate(invalid="ignore", divide="ignore"):  # without a gap, nothing is gained
                found[:, place] = (before + missing / gained[row, first] * weight[row, first]) / total
        return found


def pair_curve(score: Floats, cheap: Floats, expensive: Floats) -> PairCurve:
    """Return the curve of a router's `score` (higher: call the expensive model) from the qualities of both models."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)
    return PairCurve(order, last, (expensive - cheap)[order])


@dataclass(frozen=True)
class CostCurve:
    """Quality over cost along the thresholds, from the most expensive point to the cheapest.

    `start` (tasks × 3) holds each task's quality, cost and calls of the most expensive model at threshold 0; `added`
    (changes × 3) what each change adds to those of its `task`, sorted by threshold; `last` the last position of each
    run of equal thresholds. `cheapest` and `most_expensive` (tasks × 2) hold quality and cost of these models, `lowest`
    (tasks) the quality of the model of lowest mean quality.
    """

    start: Floats
    task: Indices
    added: Floats
    last: Indices
    cheapest: Floats
    most_expensive: Floats
    lowest: Floats
    recovered: tuple[float, ...] = (0.5, 0.8)

    def measures(self, weights: Floats) -> Floats:
        """Return resamples × (APGR over cost, CPT(x) for each x of `recovered`, area of the curve); nan: undefined."""
        share = weights / weights.sum(axis=1, keepdims=True)
        quality, cost, called = self.points(share)
        (cheap, low), (expensive, high) = (share @ self.cheapest).T, (share @ self.most_expensive).T
        area, left = area_over_cost(cost, quality, low, high)
        ends = [area + left * (end + quality[:, -1]) / 2 for end in (share @ self.lowest, cheap)]
        width = np.where(high > low, high - low, np.nan)
        gap = np.where((expensive == cheap) | ~(high > low), np.nan, expensive - cheap)
        recovered = (quality - cheap[:, None]) / gap[:, None]
        least = [np.where(recovered >= x - ROUNDING, called, np.inf).min(axis=1) for x in self.recovered]
        reached = [np.where(np.isfinite(calls), np.maximum(calls, 0.0), np.nan) for calls in least]
        return np.column_stack([(ends[1] / width - cheap) / gap, *reached, ends[0] / width])

    def points(self, share: Floats) -> list[Floats]:
        """Return quality, cost and calls of the most expensive model, each resamples × points, costs falling."""
        first = share @ self.start
        if not self.task.size:
            return [column[:, None] for column in first.T]
        moving, found = share.take(self.task, axis=1), []
        for begin, added in zip(first.T, self.added.T, strict=True):
            column = np.cumsum(np.column_stack([begin, moving * added]), axis=1)
            # Changes at equal thresholds make one point.
            found.append(
                column.take(np.append(0, self.last + 1), axis=1) if self.last.size < self.task.size else column
            )
        return found


def area_over_cost(cost: Floats, quality: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Return the area under each curve from the most expensive point to the cheapest, between costs `low` and `high`.

    Curves are resamples × points. Beyond the most expensive point they are flat. The second value is the width to the
    left of the cheapest point, whose area the caller adds.
    """
    clipped = np.clip(cost, low[:, None], np.maximum(low, high)[:, None])
    width, step, rise = -np.diff(clipped), np.diff(cost), np.diff(quality)
    # Halfway between where a step enters and leaves the range; a step without width adds nothing.
    middle = (clipped[:, :-1] + clipped[:, 1:]) / 2 - cost[:, :-1]
    mean = quality[:, :-1] + np.divide(middle * rise, step, out=np.zeros_like(step), where=width != 0)
    return _row_products(width, mean) + quality[:, 0] * (high - clipped[:, 0]), clipped[:, -1] - low


def _row_products(one: Floats, other: Floats) -> Floats:
    """Return the inner products of rows."""
    return np.einsum("ij,ij->i", one, other)


def _weight_sampler(design: Design) -> Callable[[np.random.Generator, int], Floats]:
    """Return a function that draws the weights of some resamples, resamples × tasks."""
    sizes = design.stratum_sizes
    members = np.argsort(design.stratum, kind="stable")
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    width = np.repeat(sizes, sizes - 1).astype(float)
    offset = np.repeat(first, sizes - 1)
    rescaling = design.rescaling
    one_task_per_group = design.group.size == design.stratum.size and bool(
        (design.group == np.arange(design.group.size)).all()
    )
    ordered = bool((members == np.arange(members.size)).all())

    def draw(rng: np.random.Generator, rows: int) -> Floats:
        chosen = rng.random((rows, width.size))
        chosen *= width
        places = chosen.astype(np.intp) + offset
        if not ordered:
            places = members.take(places)
        places += np.arange(rows)[:, None] * members.size
        counts = np.bincount(places.ravel(), minlength=rows * members.size).reshape(rows, members.size) * rescaling
        return counts if one_task_per_group else counts.take(design.group, axis=1)

    return draw


def _right_turn(a: int, b: int, c: int, cost: Floats, quality: Floats) -> bool:
    return bool((cost[b] - cost[a]) * (quality[c] - quality[a]) < (quality[b] - quality[a]) * (cost[c] - cost[a]))


def _check_full_range(share: Floats) -> None:
    if share[0] != 0 or share[-1] != 1 or np.any(np.diff(share) < 0):
        raise UndefinedStatistic("the curve must run from no call of the most expensive model to all of them")
