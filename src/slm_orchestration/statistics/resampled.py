"""The means of a panel: on its tasks, in every resample, and without each group. All statistics read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics import studentised
from slm_orchestration.statistics.intervals import jackknife_influence
from slm_orchestration.statistics.metrics import Means
from slm_orchestration.statistics.panel import COLUMNS, Panel
from slm_orchestration.statistics.resampling import (
    Design,
    Draws,
    covariance,
    group_sums,
    jackknife_means,
    restrict,
    weighted_medians,
)
from slm_orchestration.statistics.studentised import Ratios, Studentised

Floats = NDArray[np.float64]

MEAN, TO_DEAREST, FROM_DEAREST = "mean", "to the dearest model", "from the dearest model"
_STUDENTISED = {
    MEAN: ("cost_usd", "latency_s"),
    TO_DEAREST: ("quality", "cost_usd", "latency_s", "device_s"),
    FROM_DEAREST: ("quality", "cost_usd", "latency_s"),
}


@dataclass(frozen=True)
class Domain:
    """One domain's (or overall) tasks: `rows` in the panel, `groups` in its design, `sums` and `sizes` over them."""

    name: str
    rows: NDArray[np.bool_]
    groups: NDArray[np.int64]
    design: Design
    sums: Floats
    sizes: Floats
    latency_s: Floats

    @property
    def tasks(self) -> int:
        """How many tasks."""
        return int(self.sizes.sum())

    @property
    def occupied(self) -> int:
        """How many groups hold a task."""
        return int(np.count_nonzero(self.sizes))

    @property
    def degrees(self) -> int:
        """Degrees of freedom of a variance over groups within strata."""
        return self.occupied - np.unique(self.design.stratum[self.sizes > 0]).size

    def means(self, weights: Floats) -> Floats:
        """Means of all columns in each resample; `weights` is of all the panel's groups."""
        within = weights[self.groups].T
        with np.errstate(invalid="ignore", divide="ignore"):
            return (within @ self.sums) / (within @ self.sizes)[:, None]

    def medians(self, weights: Floats) -> Floats:
        """Median latency of each strategy in each resample."""
        group, within = self.design.group, weights[self.groups]
        return np.column_stack([weighted_medians(column, group, within) for column in self.latency_s.T])


@dataclass(frozen=True)
class Resampled:
    """One domain: `observed` is 1 × strategies, `drawn` resamples × strategies, `left_out` groups × strategies.

    `median_latency` is (1 + resamples) × strategies, the observed medians first. `studentised` holds, by kind
    and column of the panel, every strategy's mean, its ratio to the dearest model's, and its difference from it.
    """

    domain: Domain
    observed: Means
    drawn: Means
    left_out: Means
    median_latency: Floats
    studentised: dict[str, dict[str, Studentised]]

    def values(self, metric: Callable[[Means], Floats]) -> tuple[Floats, Floats, Floats]:
        """A metric per strategy: observed, resampled (strategies × resamples), influence (strategies × groups)."""
        left_out = metric(self.left_out).T
        influence = np.stack([jackknife_influence(row, self.domain.design) for row in left_out])
        return metric(self.observed)[0], np.ascontiguousarray(metric(self.drawn).T), influence

    def quality(self, combination: dict[str, float]) -> float:
        """A linear combination {strategy: weight} of mean qualities."""
        return float(self.observed.quality[0] @ self._weights(combination))

    def covariance(self, *combinations: dict[str, float]) -> Floats:
        """Covariance of linear combinations of mean qualities, over groups within strata."""
        columns = np.column_stack([self._weights(combination) for combination in combinations])
        qualities = self.domain.sums[:, : len(self.observed.strategies)]
        return covariance(qualities @ columns, self.domain.sizes, self.domain.design)

    def _weights(self, combination: dict[str, float]) -> Floats:
        weights = np.zeros(len(self.observed.strategies))
        for strategy, weight in combination.items():
            weights[self.observed.strategies.index(strategy)] += weight
        return weights


def resample(panel: Panel, *, resamples: int, seed: int, per_domain: bool = True) -> dict[str, Resampled]:
    """Return the resampled means of "overall" and of each domain: the same draws for all strategies and domains."""
    design = panel.design()
    wanted = panel.domains() if per_domain else {"overall": panel.domains()["overall"]}
    domains = [_domain(panel, design, name, rows) for name, rows in wanted.items()]
    width = len(COLUMNS) * len(panel.strategies)
    drawn = {domain.name: np.empty((resamples, width)) for domain in domains}
    medians = {domain.name: np.empty((1 + resamples, len(panel.strategies))) for domain in domains}
    ratios = {domain.name: _ratios(panel, domain) for domain in domains}
    strays = {
        domain: {kind: np.empty((resamples, part.above.shape[1])) for kind, part in kinds.items()}
        for domain, kinds in ratios.items()
    }
    for block, weights in Draws(design, resamples, seed).blocks():
        for domain in domains:
            drawn[domain.name][block] = domain.means(weights)
            medians[domain.name][block.start + 1 : block.stop + 1] = domain.medians(weights)
            for kind, part in ratios[domain.name].items():
                strays[domain.name][kind][block] = studentised.strays(part, weights[domain.groups], domain.design)
    unweighted = np.ones((design.stratum.size, 1))
    for domain in domains:
        medians[domain.name][:1] = domain.medians(unweighted)
    return {
        domain.name: Resampled(
            domain,
            observed=_means(panel, domain.means(unweighted)),
            drawn=_means(panel, drawn[domain.name]),
            left_out=_means(panel, jackknife_means(domain.sums, domain.sizes, domain.design)),
            median_latency=medians[domain.name],
            studentised={
                kind: _by_column(kind, part, domain.design, strays[domain.name][kind])
                for kind, part in ratios[domain.name].items()
            },
        )
        for domain in domains
    }


def _domain(panel: Panel, design: Design, name: str, rows: NDArray[np.bool_]) -> Domain:
    within, groups = restrict(design, rows)
    values = np.hstack([panel.values[column][rows] for column in COLUMNS])
    sizes = np.bincount(within.group, minlength=within.stratum.size).astype(float)
    return Domain(name, rows, groups, within, group_sums(values, within), sizes, panel.values["latency_s"][rows])


def _ratios(panel: Panel, domain: Domain) -> dict[str, Ratios]:
    """Return every kind's ratios of sums over groups, its columns side by side."""
    by_column = dict(zip(COLUMNS, np.split(domain.sums, len(COLUMNS), axis=1), strict=True))
    dearest = panel.column(panel.references.dearest)
    found = {}
    for kind, columns in _STUDENTISED.items():
        own = np.hstack([by_column[column] for column in columns])
        theirs = np.hstack([np.repeat(by_column[column][:, [dearest]], len(panel.strategies), 1) for column in columns])
        sizes = np.broadcast_to(domain.sizes[:, None], own.shape)
        found[kind] = {
            MEAN: Ratios(own, sizes, logarithmic=True),
            TO_DEAREST: Ratios(own, theirs, logarithmic=True),
            FROM_DEAREST: Ratios(own - theirs, sizes, logarithmic=False),
        }[kind]
    return found


def _by_column(kind: str, ratios: Ratios, design: Design, strays: Floats) -> dict[str, Studentised]:
    columns = _STUDENTISED[kind]
    parts = [np.split(each, len(columns), axis=-1)
             for each in (ratios.observed, studentised.standard_errors(ratios, design), strays)]  # fmt: skip
    return {
        column: Studentised(estimate, error, distance, ratios.logarithmic)
        for column, estimate, error, distance in zip(columns, *parts, strict=True)
    }


def _means(panel: Panel, stacked: Floats) -> Means:
    parts = np.split(stacked, len(COLUMNS), axis=1)
    return Means(panel.strategies, panel.references, **dict(zip(COLUMNS, parts, strict=True)))
