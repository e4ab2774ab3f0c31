"""Symmetric bootstrap-t: resamples measured in their own standard errors, for what is skewed (Hall 1988, JRSS B 50).

Costs and seconds are so skewed that a resample without the few dear tasks has a smaller mean and a smaller spread at
once. BCa intervals of 200 tasks then hold the truth in 91 to 93 % instead of 95 %. In units of its own standard error
a resample strays about as far as the sample does. Ratios of positive means are taken as logarithms, so that no
interval reaches below 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics.grid import ROUNDING
from slm_orchestration.statistics.intervals import UndefinedStatistic, jackknife_influence
from slm_orchestration.statistics.metrics import Means
from slm_orchestration.statistics.resampling import (
    Design,
    Draws,
    covariance,
    group_sums,
    jackknife_means,
    restrict,
    weighted_medians,
)
from slm_orchestration.statistics.strategy_matrix import COLUMNS, Panel

Floats = NDArray[np.float64]

# An error below this share of the values is nothing but rounding: that of a variance, 1e-16, under a square root.
_NO_SPREAD = 1e-7
# A stratum of fewer groups is drawn too few times in a resample to have a mean of its own there.
_OWN_MEAN = 4
# An interval that allows for more than a millionfold says nothing.
_LARGEST = np.log(1e6)


@dataclass(frozen=True)
class Ratios:
    """Ratios of sums: `above` over `below`, each groups × ratios; a mean is a sum over the number of tasks."""

    above: Floats
    below: Floats
    logarithmic: bool

    @property
    def observed(self) -> Floats:
        """The ratios of the sample; nan over nothing."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.above.sum(axis=0) / self.below.sum(axis=0))


@dataclass(frozen=True)
class Studentised:
    """Ratios with their standard errors, and how many of its own each resample strays (`strays`, resamples × ratios).

    `error` and `strays` are of logarithms where `logarithmic`. A resample without a spread of its own strays by inf.
    """

    estimate: Floats
    error: Floats
    strays: Floats
    logarithmic: bool

    def interval(self, index: int, *, level: float) -> tuple[float, float]:
        """Return the interval of one ratio. Raises UndefinedStatistic where nothing, or not enough, varies."""
        error, estimate = self.error[index], self.estimate[index]
        if not error > 0:
            raise UndefinedStatistic("the same in every resample")
        width = error * np.quantile(self.strays[:, index], level, method="higher")
        if not width < (_LARGEST if self.logarithmic else np.inf):
            raise UndefinedStatistic("too many resamples have no spread of their own")
        if self.logarithmic:
            return float(estimate * np.exp(-width)), float(estimate * np.exp(width))
        return float(estimate - width), float(estimate + width)

    def p_of_zero(self) -> Floats:
        """Return the two-sided p of each ratio being 0: how often a resample strays as far; nan without a spread."""
        with np.errstate(invalid="ignore", divide="ignore"):
            distance = np.abs(self.estimate) / self.error * (1 - ROUNDING)
        p = (1 + np.count_nonzero(self.strays >= distance, axis=0)) / (1 + len(self.strays))
        return np.where(self.error > 0, p, np.nan)


def studentised_interval(made: Studentised, index: int, *, level: float) -> tuple[float, float, str] | None:
    """Return low, high and the method of the symmetric bootstrap-t; None where the resamples do not support it."""
    try:
        low, high = made.interval(index, level=level)
    except UndefinedStatistic:
        return None
    return low, high, "symmetric bootstrap-t" + (" of the logarithm" if made.logarithmic else "")


def standard_errors(ratios: Ratios, design: Design) -> Floats:
    """Return each ratio's linearised standard error over groups within strata (of its logarithm, if so asked)."""
    centred = _centred(_residuals(ratios), design)
    variance = (centred**2 * design.rescaling[:, None]).sum(axis=0)
    return _in_units(ratios, ratios.observed, np.sqrt(variance) / ratios.below.sum(axis=0))


def absolute_pivots(ratios: Ratios, weights: Floats, design: Design) -> Floats:
    """Return resamples × ratios: the distance from the sample's ratio in the resample's own standard errors.

    `weights` is groups × resamples, as resampling.Draws gives them. A stratum of fewer than 4 groups is centred at the
    sample's mean.
    """
    # Residuals from the sample's ratio keep equal sides exactly equal, where sums of squares would round.
    residuals, below = _residuals(ratios), ratios.below
    share = weights.T @ below
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = (weights.T @ residuals) / share
        variance = np.zeros_like(share)
        for stratum, size in enumerate(design.stratum_sizes):
            rows = design.stratum == stratum
            variance += _spread(residuals[rows], below[rows], weights[rows].T * ((size - 1) / size), shift)
        drawn = ratios.observed + shift
        error = _in_units(ratios, drawn, np.sqrt(np.maximum(variance, 0.0)) / share)
        distance = np.abs(np.log(drawn / ratios.observed)) if ratios.logarithmic else np.abs(shift)
        return np.where((error > 0) & np.isfinite(distance), distance / error, np.inf)


def _spread(residuals: Floats, below: Floats, counts: Floats, shift: Floats) -> Floats:
    """Return the variance of one stratum's part of Σ (residuals - shift · below) in each resample."""
    size, drawn = len(residuals), len(residuals) - 1
    own = size >= _OWN_MEAN
    if not own:
        residuals, below = residuals - residuals.mean(axis=0), below - below.mean(axis=0)
    squares = [counts @ part for part in (residuals**2, residuals * below, below**2)]
    if own:
        first, second = counts @ residuals, counts @ below
        for part, product in zip(squares, (first**2, first * second, second**2), strict=True):
            part -= product / drawn
    within = squares[0] - 2 * shift * squares[1] + shift**2 * squares[2]
    return within * (size**2 / drawn / (drawn - 1 if own else drawn))


def _residuals(ratios: Ratios) -> Floats:
    # Over a denominator of 0 the ratio, and so its residual, is undefined.
    with np.errstate(invalid="ignore"):
        return ratios.above - ratios.observed * ratios.below


def _centred(values: Floats, design: Design) -> Floats:
    centred = values.copy()
    for stratum in range(design.stratum_sizes.size):
        rows = design.stratum == stratum
        centred[rows] -= values[rows].mean(axis=0)
    return centred


def _in_units(ratios: Ratios, values: Floats, error: Floats) -> Floats:
    """Return the error of what is reported, 0 where it is nothing but rounding or the logarithm does not exist."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.abs(ratios.above).sum(axis=0) / np.abs(ratios.below).sum(axis=0)
        varies = error > _NO_SPREAD * scale
        if ratios.logarithmic:
            return np.where(varies & (values > 0), error / values, 0.0)
        return np.where(varies, error, 0.0)


# ========== The means of a panel: on its tasks, in every resample, and without each group. All statistics read them.
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
                strays[domain.name][kind][block] = absolute_pivots(part, weights[domain.groups], domain.design)
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
             for each in (ratios.observed, standard_errors(ratios, design), strays)]  # fmt: skip
    return {
        column: Studentised(estimate, error, distance, ratios.logarithmic)
        for column, estimate, error, distance in zip(columns, *parts, strict=True)
    }


def _means(panel: Panel, stacked: Floats) -> Means:
    parts = np.split(stacked, len(COLUMNS), axis=1)
    return Means(panel.strategies, panel.references, **dict(zip(COLUMNS, parts, strict=True)))
