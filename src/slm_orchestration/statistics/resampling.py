"""Resampling weights of groups within strata, and the weighted means of every resample.

Almost every statistic of this project is a function of means over tasks. So a resample is a row of weights, all draws
of all strategies are one matrix product, and a paired comparison is paired because both sides see the same weights.

The unit is the group (tasks that share context), resampled within its dataset. Within a dataset of n groups, n - 1
are drawn and weighted by n / (n - 1): the rescaled bootstrap of Rao, Wu and Yue (1992, Survey Methodology 18), whose
variance is unbiased also where a dataset has three tasks; drawing n would make it too small by (n - 1) / n.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

# Cells of one block of weights: 16 MB, whatever the number of tasks.
_BLOCK_CELLS = 2_000_000


@dataclass(frozen=True)
class Design:
    """Clusters and strata: `group` of each task and `stratum` (dataset) of each group, as codes from 0."""

    group: Indices
    stratum: Indices

    @property
    def stratum_sizes(self) -> Indices:
        """Groups per stratum."""
        return np.bincount(self.stratum)

    @property
    def rescaling(self) -> Floats:
        """n / (n - 1) of each group's stratum."""
        sizes = self.stratum_sizes
        return (sizes / (sizes - 1))[self.stratum]


@dataclass(frozen=True)
class Draws:
    """Resamples of a design, which can be iterated any number of times; equal seeds give equal weights."""

    design: Design
    resamples: int
    seed: int

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """Yield which resamples a block holds, and its weights (groups × resamples)."""
        rng = np.random.default_rng(self.seed)
        groups = self.design.stratum.size
        height = max(1, _BLOCK_CELLS // groups)
        for start in range(0, self.resamples, height):
            rows = slice(start, min(start + height, self.resamples))
            yield rows, _weights(self.design, rows.stop - rows.start, rng)

    def means(self, sums: Floats, sizes: Floats) -> Floats:
        """Return resamples × columns: the weighted mean of each column of `sums` (groups × columns) in each draw."""
        means = np.empty((self.resamples, sums.shape[1]))
        for rows, weights in self.blocks():
            means[rows] = _divide(weights.T @ sums, weights.T @ sizes)
        return means


def design(tasks: pd.DataFrame) -> Design:
    """Return the design of a task table with the columns domain, dataset and group.

    A group that spans datasets belongs to the first of them. A dataset with one group has no variance of its own: such
    datasets are joined within their domain, or with the domain's largest dataset, or, if the domain holds nothing
    else, across domains. Raises ValueError where there are fewer than 2 groups.
    """
    # Sorted, so that the order of the tasks does not decide which group a draw falls on.
    codes, _ = pd.factorize(tasks["group"], sort=True)
    groups = (
        tasks[["domain", "dataset"]]
        .assign(code=codes)
        .sort_values(["code", "domain", "dataset"])
        .drop_duplicates("code")
    )
    if len(groups) < 2:
        raise ValueError(f"resampling needs at least 2 groups of tasks, got {len(groups)}")
    stratum = groups["domain"].astype(str) + "\n" + groups["dataset"].astype(str)
    for wider in (groups["domain"].astype(str), pd.Series("", index=groups.index)):
        if not _singleton(stratum).any():
            break
        stratum = stratum.mask(_singleton(stratum), wider)
        largest = stratum.groupby(wider).transform(lambda names: names.value_counts().sort_index().idxmax())
        stratum = stratum.mask(_singleton(stratum), largest)
    return Design(np.asarray(codes, dtype=np.int64), np.asarray(pd.factorize(stratum, sort=True)[0], dtype=np.int64))


def restrict(design: Design, rows: NDArray[np.bool_]) -> tuple[Design, Indices]:
    """Return the design of some tasks, all groups of the strata they touch, and these groups' codes in `design`.

    Groups of these strata without a task of their own stay in, because draws may fall on them.
    """
    groups = np.flatnonzero(np.isin(design.stratum, design.stratum[design.group[rows]]))
    local = np.searchsorted(groups, design.group[rows])
    return Design(local, np.unique(design.stratum[groups], return_inverse=True)[1]), groups


def group_sums(values: Floats, design: Design) -> Floats:
    """Return groups × columns: the sum of each column of `values` (tasks × columns) over each group."""
    return _sums_by(design.group, values, design.stratum.size)


def jackknife_means(sums: Floats, sizes: Floats, design: Design) -> Floats:
    """Return groups × columns: the means without each group in turn, the rest of its stratum weighted up."""
    by_stratum = _stratum_sums(np.column_stack([sums, sizes]), design)
    table = np.column_stack([sums, sizes])
    own = by_stratum[design.stratum]
    left = table.sum(axis=0) - own + (own - table) * design.rescaling[:, None]
    return _divide(left[:, :-1], left[:, -1])


def covariance(sums: Floats, sizes: Floats, design: Design) -> Floats:
    """Return columns × columns: the linearised covariance of the means over groups within strata."""
    total = sizes.sum()
    residuals = (sums - np.outer(sizes, sums.sum(axis=0) / total)) / total
    centred = residuals - (_stratum_sums(residuals, design) / design.stratum_sizes[:, None])[design.stratum]
    return (centred * design.rescaling[:, None]).T @ centred


def weighted_medians(values: Floats, group: Indices, weights: Floats) -> Floats:
    """Return each resample's median of `values`, one per task: the smallest at which half of the weight is reached.

    `group` says which row of `weights` (groups × resamples) each task is weighted by.
    """
    order = np.argsort(values, kind="stable")
    # A resample's median nearly always lies within six standard errors, in ranks, of the sample's.
    reach = int(np.ceil(3 * np.sqrt(values.size))) + 2
    low, high = max(0, values.size // 2 - reach), min(values.size, values.size // 2 + reach)
    medians = _medians_within(values[order], group[order], weights, (low, high))
    missed = np.isnan(medians)
    if missed.any():
        medians[missed] = _medians_within(values[order], group[order], weights[:, missed], (0, values.size))
    return medians


def _medians_within(values: Floats, group: Indices, weights: Floats, window: tuple[int, int]) -> Floats:
    low, high = window
    counts = np.stack([np.bincount(part, minlength=len(weights)) for part in (group, group[:low])])
    total, below = counts.astype(float) @ weights
    # Relative slack, because sums of rescaled weights miss an exact half by rounding.
    half = total / 2 * (1 - 1e-12)
    reached = np.cumsum(weights[group[low:high]], axis=0) >= half - below
    inside = reached[-1] & ((below < half) | (low == 0))
    return np.where(inside, values[low + np.argmax(reached, axis=0)], np.nan)


def _weights(design: Design, width: int, rng: np.random.Generator) -> Floats:
    weights = np.empty((design.stratum.size, width))
    for code, size in enumerate(design.stratum_sizes):
        cells = rng.integers(0, size, size=(size - 1, width)) * width + np.arange(width)
        counts = np.bincount(cells.ravel(), minlength=size * width).reshape(size, width)
        weights[design.stratum == code] = counts * (size / (size - 1))
    return weights


def _stratum_sums(table: Floats, design: Design) -> Floats:
    return _sums_by(design.stratum, table, design.stratum_sizes.size)


def _sums_by(code: Indices, table: Floats, codes: int) -> Floats:
    totals = np.zeros((codes, table.shape[1]))
    np.add.at(totals, code, table)
    return totals


def _singleton(stratum: pd.Series) -> pd.Series:
    return stratum.map(stratum.value_counts()) == 1


def _divide(sums: Floats, totals: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / totals[:, None]
