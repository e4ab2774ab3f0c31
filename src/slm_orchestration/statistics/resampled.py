"""The means of a panel on its tasks, in every resample, and without each group: computed once, read by all statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics.intervals import jackknife_influence
from slm_orchestration.statistics.metrics import Means
from slm_orchestration.statistics.panel import COLUMNS, Panel
from slm_orchestration.statistics.resampling import (
    Design,
    Draws,
    covariance,
    group_sums,
    jackknife_means,
    weighted_medians,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Resampled:
    """One domain (or overall): `observed` is 1 × strategies, `drawn` resamples × strategies, `left_out` groups × strategies.

    `median_latency` is (1 + resamples) × strategies, the observed medians first. `sums` and `sizes` are over the groups.
    """

    domain: str
    tasks: NDArray[np.bool_]
    design: Design
    sums: Floats
    sizes: Floats
    observed: Means
    drawn: Means
    left_out: Means
    median_latency: Floats

    @property
    def groups(self) -> int:
        """How many groups hold a task of the domain."""
        return int(np.count_nonzero(self.sizes))

    @property
    def degrees(self) -> int:
        """Degrees of freedom of a variance over groups within strata."""
        touched = np.unique(self.design.stratum[self.sizes > 0])
        return self.groups - touched.size

    def values(self, metric: Callable[[Means], Floats]) -> tuple[Floats, Floats, Floats]:
        """A metric of each strategy: observed, in each resample (strategies × resamples), influence (strategies × groups)."""
        left_out = metric(self.left_out).T
        influence = np.stack([jackknife_influence(row, self.design) for row in left_out])
        return metric(self.observed)[0], np.ascontiguousarray(metric(self.drawn).T), influence

    def covariance_of(self, *combinations: dict[str, float]) -> Floats:
        """Covariance of linear combinations {strategy: weight} of mean qualities."""
        columns = np.zeros((self.sums.shape[1], len(combinations)))
        for index, combination in enumerate(combinations):
            for strategy, weight in combination.items():
                columns[self.observed.strategies.index(strategy), index] += weight
        return covariance(self.sums @ columns, self.sizes, self.design)


def resample(panel: Panel, *, resamples: int, seed: int) -> dict[str, Resampled]:
    """Return the resampled means of "overall" and of each domain: the same draws for all strategies and domains."""
    design = panel.design()
    draws = Draws(design, resamples, seed)
    stacked = np.hstack([panel.values[name] for name in COLUMNS])
    domains = panel.domains()
    sums = {name: group_sums(stacked * rows[:, None], design) for name, rows in domains.items()}
    sizes = {name: group_sums(rows[:, None].astype(float), design)[:, 0] for name, rows in domains.items()}
    touching = {name: np.flatnonzero(np.isin(design.stratum, design.stratum[size > 0])) for name, size in sizes.items()}
    drawn = {name: np.empty((resamples, stacked.shape[1])) for name in domains}
    medians = {name: np.empty((1 + resamples, len(panel.strategies))) for name in domains}
    for block, weights in draws.blocks():
        for name, groups in touching.items():
            within = weights[:, groups]
            with np.errstate(invalid="ignore", divide="ignore"):
                drawn[name][block] = (within @ sums[name][groups]) / (within @ sizes[name][groups])[:, None]
            medians[name][block.start + 1 : block.stop + 1] = _medians(panel, design, domains[name], weights)
    for name, rows in domains.items():
        medians[name][:1] = _medians(panel, design, rows, np.ones((1, design.stratum.size)))
    return {
        name: Resampled(
            domain=name,
            tasks=rows,
            design=design,
            sums=sums[name][:, : len(panel.strategies)],
            sizes=sizes[name],
            observed=_means(panel, sums[name].sum(axis=0, keepdims=True) / sizes[name].sum()),
            drawn=_means(panel, drawn[name]),
            left_out=_means(panel, jackknife_means(sums[name], sizes[name], design)),
            median_latency=medians[name],
        )
        for name, rows in domains.items()
    }


def _medians(panel: Panel, design: Design, rows: NDArray[np.bool_], weights: Floats) -> Floats:
    group = design.group[rows]
    latency = panel.values["latency_s"][rows]
    return np.column_stack([weighted_medians(column, group, weights) for column in latency.T])


def _means(panel: Panel, stacked: Floats) -> Means:
    parts = np.split(stacked, len(COLUMNS), axis=1)
    return Means(panel.strategies, panel.references, **dict(zip(COLUMNS, parts, strict=True)))
