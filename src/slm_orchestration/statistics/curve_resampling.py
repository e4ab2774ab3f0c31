"""Bootstrap of whole curves: one resample is a row of weights, and its curve a cumulative sum of weighted changes.

Tasks are sorted once; a resample only changes how much each of them weighs. Rows are small enough to stay in the
processor's cache, and numpy lets go of the interpreter's lock, so threads share the work.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics.resampling import Design

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Measure = Callable[[Floats], Floats]

_CHUNK = 250  # resamples drawn from one generator: fixed, so that the number of threads changes nothing


def resample_measures(measure: Measure, design: Design, *, resamples: int, seed: int, threads: int = 1) -> Floats:
    """Return resamples × measures: `measure` of each resample's weights, one weight per task.

    Groups are drawn within strata, one fewer than there are, and weighted up by n / (n - 1), as in
    statistics.resampling. Equal seeds give equal values whatever the number of threads.
    """
    starts = range(0, resamples, _CHUNK)
    parts = [(np.random.default_rng([seed, start]), min(_CHUNK, resamples - start)) for start in starts]
    draw = _drawing(design)

    def rows(part: tuple[np.random.Generator, int]) -> Floats:
        return np.array([measure(draw(part[0])) for _ in range(part[1])])

    if threads == 1:
        return np.concatenate([rows(part) for part in parts])
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(rows, parts)))


@dataclass(frozen=True)
class PairCurve:
    """Quality over the share of calls to the dear of two models; the highest scores are passed on first.

    `order` sorts tasks by falling score, `starts` are the first places of equal scores, `gain` is dear less cheap in
    that order.
    """

    order: Indices
    starts: Indices
    gain: Floats
    recovered: tuple[float, ...] = (0.5, 0.8)

    def measures(self, weights: Floats) -> Floats:
        """Return APGR and CPT(x) for each x of `recovered`; nan where they are undefined."""
        weight = weights[self.order]
        gained = weight * self.gain
        if self.starts.size < weight.size:  # ties go together
            weight, gained = np.add.reduceat(weight, self.starts), np.add.reduceat(gained, self.starts)
        height = np.cumsum(gained)
        total, gap = weight.sum(), height[-1]
        found = np.full(1 + len(self.recovered), np.nan)
        if gap == 0:
            return found
        found[0] = (_dot(weight, height) - 0.5 * _dot(weight, gained)) / (total * gap)
        for place, wanted in enumerate(self.recovered, start=1):
            reached = height >= wanted * gap if gap > 0 else height <= wanted * gap
            first = int(reached.argmax())
            missing = wanted * gap - (height[first] - gained[first])
            found[place] = (weight[:first].sum() + missing / gained[first] * weight[first]) / total
        return found


def pair_curve(score: Floats, cheap: Floats, dear: Floats) -> PairCurve:
    """Return the curve of a router's `score` (higher: rather the dear model) and the qualities of both models."""
    order = np.argsort(-score, kind="stable")
    starts = np.append(0, np.flatnonzero(np.diff(score[order])) + 1)
    return PairCurve(order, starts, (dear - cheap)[order])


@dataclass(frozen=True)
class CostCurve:
    """Quality over cost along the thresholds, from the dearest point to the cheapest.

    `start` (tasks × 3) holds each task's quality, cost and calls of the dearest model at threshold 0; `added` what each
    change adds to those of `task`, sorted by threshold; `starts` the first places of equal thresholds. `cheapest` and
    `dearest` hold quality and cost of these models, `lowest` the quality of the worst (tasks × 2, tasks × 2, tasks).
    """

    start: Floats
    task: Indices
    added: Floats
    starts: Indices
    cheapest: Floats
    dearest: Floats
    lowest: Floats
    recovered: tuple[float, ...] = (0.5, 0.8)

    def measures(self, weights: Floats) -> Floats:
        """Return APGR over cost, CPT(x) for each x of `recovered`, and the area of the curve; nan where undefined."""
        share = weights / weights.sum()
        quality, cost, called = self.points(share).T
        (cheap, low), (dear, high), lowest = share @ self.cheapest, share @ self.dearest, share @ self.lowest
        found = np.full(2 + len(self.recovered), np.nan)
        if not high > low:
            return found
        beyond, left = area_over_cost(cost, quality, low, high)
        found[-1] = (beyond + left * (lowest + quality[-1]) / 2) / (high - low)
        if dear == cheap:
            return found
        found[0] = ((beyond + left * (cheap + quality[-1]) / 2) / (high - low) - cheap) / (dear - cheap)
        recovered = (quality - cheap) / (dear - cheap)
        for place, wanted in enumerate(self.recovered, start=1):
            enough = called[recovered >= wanted - 1e-12]
            found[place] = max(float(enough.min()), 0.0) if enough.size else np.nan
        return found

    def points(self, share: Floats) -> Floats:
        """Return points × (quality, cost, calls of the dearest model), the dearest first, where tasks weigh `share`."""
        first = share @ self.start
        if not self.task.size:
            return first[None]
        moved = np.add.reduceat(share[self.task][:, None] * self.added, self.starts, axis=0)
        return np.vstack([first, first + np.cumsum(moved, axis=0)])


def area_over_cost(cost: Floats, quality: Floats, low: float, high: float) -> tuple[float, float]:
    """Return the area under a curve from the dearest point to the cheapest, between costs `low` and `high`.

    Beyond the dearest point it goes on flat. Second comes the width left of the cheapest point, which the caller fills.
    """
    clipped = np.clip(cost, low, high)
    width, step = -np.diff(clipped), np.diff(cost)
    ends = [
        quality[:-1] + np.divide(at - cost[:-1], step, out=np.zeros_like(step), where=step != 0) * np.diff(quality)
        for at in (clipped[:-1], clipped[1:])
    ]
    area = float(width @ (ends[0] + ends[1])) / 2 + float(quality[0] * (high - clipped[0]))
    return area, float(clipped[-1] - low)


def _dot(one: Floats, other: Floats) -> float:
    """Return the inner product without BLAS, whose own threads would wait for each other."""
    return float(np.einsum("i,i->", one, other))


def _drawing(design: Design) -> Callable[[np.random.Generator], Floats]:
    """Return a function that draws one resample's weights, one per task."""
    sizes = design.stratum_sizes
    members = np.argsort(design.stratum, kind="stable")
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    width, offset = np.repeat(sizes, sizes - 1).astype(float), np.repeat(first, sizes - 1)
    rescaling = design.rescaling
    alone = design.group.size == design.stratum.size and bool((design.group == np.arange(design.group.size)).all())
    ordered = bool((members == np.arange(members.size)).all())

    def draw(rng: np.random.Generator) -> Floats:
        places = (rng.random(width.size) * width).astype(np.intp)
        places += offset
        counts = np.bincount(places if ordered else members[places], minlength=members.size) * rescaling
        return counts if alone else counts[design.group]

    return draw
