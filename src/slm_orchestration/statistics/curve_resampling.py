"""Bootstrap of whole curves: one resample is a row of weights, and its curve a cumulative sum of weighted changes.

Tasks are sorted once; a resample only changes how much each of them weighs. Rows are measured a few at a time: together
they stay in the processor's cache, and of few tasks many share one call of numpy. Threads would not help: numpy counts
and sums cumulatively under the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics.grid import ROUNDING
from slm_orchestration.statistics.resampling import Design

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Measure = Callable[[Floats], Floats]

_CHUNK = 250  # resamples drawn from one generator: any part of them can be drawn again without the others
_BLOCK_CELLS = 2**15  # resamples × tasks measured at a time: a quarter of a megabyte


def resample_measures(measure: Measure, design: Design, *, resamples: int, seed: int) -> Floats:
    """Return resamples × measures: `measure` is handed some resamples' weights at a time, resamples × tasks.

    Groups are drawn within strata, one fewer than there are, and weighted up by n / (n - 1), as in
    statistics.resampling. Equal seeds give equal values.
    """
    draw = _drawing(design)
    height = max(1, _BLOCK_CELLS // design.group.size)

    def rows(start: int) -> Floats:
        rng, count = np.random.default_rng([seed, start]), min(_CHUNK, resamples - start)
        return np.concatenate([measure(draw(rng, min(height, count - row))) for row in range(0, count, height)])

    return np.concatenate([rows(start) for start in range(0, resamples, _CHUNK)])


@dataclass(frozen=True)
class PairCurve:
    """Quality over the share of calls to the dear of two models; the highest scores are passed on first.

    `order` sorts tasks by falling score, `last` are the last places of equal scores, `gain` is dear less cheap in that
    order.
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
        if self.last.size < self.order.size:  # ties go together
            height, below = height.take(self.last, axis=1), np.cumsum(weight, axis=1).take(self.last, axis=1)
            weight, gained = (np.diff(values, axis=1, prepend=0.0) for values in (below, height))
        total, gap = weight.sum(axis=1), height[:, -1].copy()
        for values in (height, gained):  # what is recovered of a gap is the same upside down
            values[gap < 0] *= -1
        gap = np.where(gap == 0, np.nan, np.abs(gap))
        row, found = np.arange(len(weight)), np.empty((len(weight), 1 + len(self.recovered)))
        found[:, 0] = (_dots(weight, height) - 0.5 * _dots(weight, gained)) / (total * gap)
        for place, wanted in enumerate(self.recovered, start=1):
            first = (height >= (wanted * gap - ROUNDING * total)[:, None]).argmax(axis=1)
            missing = wanted * gap - (height[row, first] - gained[row, first])
            before = np.array([values[:end].sum() for values, end in zip(weight, first.tolist(), strict=True)])
            with np.errstate(invalid="ignore", divide="ignore"):  # without a gap, nothing is gained
                found[:, place] = (before + missing / gained[row, first] * weight[row, first]) / total
        return found


def pair_curve(score: Floats, cheap: Floats, dear: Floats) -> PairCurve:
    """Return the curve of a router's `score` (higher: rather the dear model) and the qualities of both models."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)
    return PairCurve(order, last, (dear - cheap)[order])


@dataclass(frozen=True)
class CostCurve:
    """Quality over cost along the thresholds, from the dearest point to the cheapest.

    `start` (tasks × 3) holds each task's quality, cost and calls of the dearest model at threshold 0; `added` what each
    change adds to those of `task`, sorted by threshold; `last` the last places of equal thresholds. `cheapest` and
    `dearest` hold quality and cost of these models, `lowest` the quality of the worst (tasks × 2, tasks × 2, tasks).
    """

    start: Floats
    task: Indices
    added: Floats
    last: Indices
    cheapest: Floats
    dearest: Floats
    lowest: Floats
    recovered: tuple[float, ...] = (0.5, 0.8)

    def measures(self, weights: Floats) -> Floats:
        """Return resamples × (APGR over cost, CPT(x) for each x of `recovered`, area of the curve); nan: undefined."""
        share = weights / weights.sum(axis=1, keepdims=True)
        quality, cost, called = self.points(share)
        (cheap, low), (dear, high) = (share @ self.cheapest).T, (share @ self.dearest).T
        area, left = area_over_cost(cost, quality, low, high)
        ends = [area + left * (end + quality[:, -1]) / 2 for end in (share @ self.lowest, cheap)]
        width = np.where(high > low, high - low, np.nan)
        gap = np.where((dear == cheap) | ~(high > low), np.nan, dear - cheap)
        recovered = (quality - cheap[:, None]) / gap[:, None]
        least = [np.where(recovered >= x - ROUNDING, called, np.inf).min(axis=1) for x in self.recovered]
        reached = [np.where(np.isfinite(calls), np.maximum(calls, 0.0), np.nan) for calls in least]
        return np.column_stack([(ends[1] / width - cheap) / gap, *reached, ends[0] / width])

    def points(self, share: Floats) -> list[Floats]:
        """Return quality, cost and calls of the dearest model, each resamples × points, the dearest point first."""
        first = share @ self.start
        if not self.task.size:
            return [column[:, None] for column in first.T]
        moving, found = share.take(self.task, axis=1), []
        for begin, added in zip(first.T, self.added.T, strict=True):
            column = np.cumsum(np.column_stack([begin, moving * added]), axis=1)
            # Equal thresholds go together.
            found.append(
                column.take(np.append(0, self.last + 1), axis=1) if self.last.size < self.task.size else column
            )
        return found


def area_over_cost(cost: Floats, quality: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Return the area under each curve from the dearest point to the cheapest, between costs `low` and `high`.

    Curves are resamples × points. Beyond the dearest point they go on flat. Second comes the width left of the cheapest
    point, which the caller fills.
    """
    clipped = np.clip(cost, low[:, None], np.maximum(low, high)[:, None])
    width, step, rise = -np.diff(clipped), np.diff(cost), np.diff(quality)
    # Halfway between where a step enters and leaves the range; a step without width adds nothing.
    middle = (clipped[:, :-1] + clipped[:, 1:]) / 2 - cost[:, :-1]
    mean = quality[:, :-1] + np.divide(middle * rise, step, out=np.zeros_like(step), where=width != 0)
    return _dots(width, mean) + quality[:, 0] * (high - clipped[:, 0]), clipped[:, -1] - low


def _dots(one: Floats, other: Floats) -> Floats:
    """Return the inner products of rows."""
    return np.einsum("ij,ij->i", one, other)


def _drawing(design: Design) -> Callable[[np.random.Generator, int], Floats]:
    """Return a function that draws the weights of some resamples, resamples × tasks."""
    sizes = design.stratum_sizes
    members = np.argsort(design.stratum, kind="stable")
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    width = np.repeat(sizes, sizes - 1).astype(float)
    offset = np.repeat(first, sizes - 1)
    rescaling = design.rescaling
    alone = design.group.size == design.stratum.size and bool((design.group == np.arange(design.group.size)).all())
    ordered = bool((members == np.arange(members.size)).all())

    def draw(rng: np.random.Generator, rows: int) -> Floats:
        chosen = rng.random((rows, width.size))
        chosen *= width
        places = chosen.astype(np.intp)
        row = np.arange(rows)[:, None] * members.size
        if ordered:
            places += offset + row
        else:
            places += offset
            places = members.take(places) + row
        counts = np.bincount(places.ravel(), minlength=rows * members.size).reshape(rows, members.size) * rescaling
        return counts if alone else counts.take(design.group, axis=1)

    return draw
