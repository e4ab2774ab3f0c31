"""Bootstrap of a strategy matrix, with symmetric bootstrap-t intervals for skewed metrics (Hall 1988, JRSS B 50).

The same resamples give the means of every strategy, overall and per domain; the jackknife gives the means without
each group. Costs and seconds are skewed: a resample without the few expensive tasks has a smaller mean and a smaller
standard deviation at once, and BCa intervals of 200 tasks then cover 91 to 93 % instead of 95 %. The bootstrap-t
divides each resample's deviation by the resample's own standard error, which restores the coverage. Ratios of positive
means are taken as logarithms, so that no interval reaches below 0.
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
from slm_orchestration.statistics.strategy_matrix import COLUMNS, MACRO, OVERALL, StrategyMatrix

Floats = NDArray[np.float64]

# A standard error below this share of the values is rounding: the square root of a variance's, 1e-16.
_NO_SPREAD = 1e-7
# A stratum of fewer groups has too few draws in a resample to be centred at its mean there.
_SMALLEST_CENTRED = 4
# An interval of a logarithm wider than a factor of a million is refused.
_WIDEST_LOGARITHM = np.log(1e6)


@dataclass(frozen=True)
class Ratios:
    """Ratios of sums over groups, `numerator` and `denominator` each groups × ratios; a mean divides by the tasks."""

    numerator: Floats
    denominator: Floats
    logarithmic: bool

    @property
    def observed(self) -> Floats:
        """The ratios of the sample; nan where the denominator is 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.numerator.sum(axis=0) / self.denominator.sum(axis=0))


@dataclass(frozen=True)
class Studentised:
    """Ratios with their standard errors and absolute bootstrap-t pivots (`pivots`, resamples × ratios).

    `error` and `pivots` are of logarithms where `logarithmic`. The pivot of a resample without variance is inf.
    """

    estimate: Floats
    error: Floats
    pivots: Floats
    logarithmic: bool

    def interval(self, index: int, *, level: float) -> tuple[float, float]:
        """Return the interval of one ratio. Raises UndefinedStatistic where too few resamples have a variance."""
        error, estimate = self.error[index], self.estimate[index]
        if not error > 0:
            raise UndefinedStatistic("the same in every resample")
        width = error * np.quantile(self.pivots[:, index], level, method="higher")
        if not width < (_WIDEST_LOGARITHM if self.logarithmic else np.inf):
            raise UndefinedStatistic("too many resamples have no variance of their own")
        if self.logarithmic:
            return float(estimate * np.exp(-width)), float(estimate * np.exp(width))
        return float(estimate - width), float(estimate + width)

    def p_values(self) -> Floats:
        """Return the two-sided p of each ratio being 0: the share of resamples at least as far from the
        estimate as 0 is, in standard errors; nan where nothing varies."""
        with np.errstate(invalid="ignore", divide="ignore"):
            distance = np.abs(self.estimate) / self.error * (1 - ROUNDING)
        p = (1 + np.count_nonzero(self.pivots >= distance, axis=0)) / (1 + len(self.pivots))
        return np.where(self.error > 0, p, np.nan)


def studentised_interval(made: Studentised, index: int, *, level: float) -> tuple[float, float, str] | None:
    """Return low, high and the method of the symmetric bootstrap-t; None where it is undefined."""
    try:
        low, high = made.interval(index, level=level)
    except UndefinedStatistic:
        return None
    return low, high, "symmetric bootstrap-t" + (" of the logarithm" if made.logarithmic else "")


def standard_errors(ratios: Ratios, design: Design) -> Floats:
    """Return each ratio's linearised standard error over groups within strata; of the logarithm if `logarithmic`."""
    centred = _centred(_residuals(ratios), design)
    variance = (centred**2 * design.rescaling[:, None]).sum(axis=0)
    return _reported_errors(ratios, ratios.observed, np.sqrt(variance) / ratios.denominator.sum(axis=0))


def absolute_pivots(ratios: Ratios, weights: Floats, design: Design) -> Floats:
    """Return |t*|, resamples × ratios: the distance from the sample's ratio in the resample's own standard errors.

    `weights` is groups × resamples, as resampling.Draws gives them. A stratum of fewer than 4 groups is centred at the
    sample's mean.
    """
    # Residuals from the sample's ratio are exactly 0 where both sums agree; sums of squares would round.
    residuals, denominator = _residuals(ratios), ratios.denominator
    share = weights.T @ denominator
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = (weights.T @ residuals) / share
        variance = np.zeros_like(share)
        for stratum, size in enumerate(design.stratum_sizes):
            rows = design.stratum == stratum
            variance += _stratum_variance(
                residuals[rows], denominator[rows], weights[rows].T * ((size - 1) / size), shift
            )
        resampled = ratios.observed + shift
        error = _reported_errors(ratios, resampled, np.sqrt(np.maximum(variance, 0.0)) / share)
        distance = np.abs(np.log(resampled / ratios.observed)) if ratios.logarithmic else np.abs(shift)
        return np.where((error > 0) & np.isfinite(distance), distance / error, np.inf)


def _stratum_variance(residuals: Floats, denominator: Floats, counts: Floats, shift: Floats) -> Floats:
    """Return one stratum's contribution to the variance of Σ (residuals - shift · denominator) in each resample."""
    size, draws = len(residuals), len(residuals) - 1
    centred = size >= _SMALLEST_CENTRED
    if not centred:
        residuals, denominator = residuals - residuals.mean(axis=0), denominator - denominator.mean(axis=0)
    squares = [counts @ part for part in (residuals**2, residuals * denominator, denominator**2)]
    if centred:
        first, second = counts @ residuals, counts @ denominator
        for part, product in zip(squares, (first**2, first * second, second**2), strict=True):
            part -= product / draws
    within = squares[0] - 2 * shift * squares[1] + shift**2 * squares[2]
    return within * (size**2 / draws / (draws - 1 if centred else draws))


def _residuals(ratios: Ratios) -> Floats:
    # Over a denominator of 0 the ratio, and so its residual, is undefined.
    with np.errstate(invalid="ignore"):
        return ratios.numerator - ratios.observed * ratios.denominator


def _centred(values: Floats, design: Design) -> Floats:
    centred = values.copy()
    for stratum in range(design.stratum_sizes.size):
        rows = design.stratum == stratum
        centred[rows] -= values[rows].mean(axis=0)
    return centred


def _reported_errors(ratios: Ratios, values: Floats, error: Floats) -> Floats:
    """Return the standard error of the ratio or its logarithm; 0 where it is rounding or the logarithm is undefined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.abs(ratios.numerator).sum(axis=0) / np.abs(ratios.denominator).sum(axis=0)
        varies = error > _NO_SPREAD * scale
        if ratios.logarithmic:
            return np.where(varies & (values > 0), error / values, 0.0)
        return np.where(varies, error, 0.0)


# The kinds of ratios that have a bootstrap-t interval, and the columns that each is made of.
MEAN, RATIO_TO_MOST_EXPENSIVE, DIFFERENCE_FROM_MOST_EXPENSIVE = (
    "mean",
    "to the most expensive model",
    "from the most expensive model",
)
_STUDENTISED = {
    MEAN: ("cost_usd", "latency_s"),
    RATIO_TO_MOST_EXPENSIVE: ("quality", "cost_usd", "latency_s", "device_s"),
    DIFFERENCE_FROM_MOST_EXPENSIVE: ("quality", "cost_usd", "latency_s"),
}


@dataclass(frozen=True)
class Domain:
    """Tasks of one domain or of all: `rows` in the matrix, `groups` in its design, `sums` and `sizes` per group.

    In MACRO, where a task has the weight of its domain, `sums` and `sizes` are of weighted tasks.
    """

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
        return round(float(self.sizes.sum()))

    @property
    def nonempty_groups(self) -> int:
        """How many groups hold at least one task."""
        return int(np.count_nonzero(self.sizes))

    @property
    def degrees(self) -> int:
        """Degrees of freedom of a variance over groups within strata."""
        return self.nonempty_groups - np.unique(self.design.stratum[self.sizes > 0]).size

    def means(self, weights: Floats) -> Floats:
        """Means of all columns in each resample; `weights` is of all the strategy matrix's groups."""
        within = weights[self.groups].T
        with np.errstate(invalid="ignore", divide="ignore"):
            return (within @ self.sums) / (within @ self.sizes)[:, None]

    def medians(self, weights: Floats) -> Floats:
        """Median latency of each strategy in each resample."""
        group, within = self.design.group, weights[self.groups]
        return np.column_stack([weighted_medians(column, group, within) for column in self.latency_s.T])


@dataclass(frozen=True)
class ResampledMeans:
    """One domain: `observed` is 1 × strategies, `resampled` resamples × strategies, `jackknife` groups × strategies.

    `median_latency` is (1 + resamples) × strategies, the observed medians first. `studentised` holds, by kind and
    column, every strategy's mean, its ratio to the most expensive model's and its difference from that.
    """

    domain: Domain
    observed: Means
    resampled: Means
    jackknife: Means
    median_latency: Floats
    studentised: dict[str, dict[str, Studentised]]

    def values(self, metric: Callable[[Means], Floats]) -> tuple[Floats, Floats, Floats]:
        """A metric per strategy: observed, resampled (strategies × resamples), influence (strategies × groups)."""
        jackknife = metric(self.jackknife).T
        influence = np.stack([jackknife_influence(row, self.domain.design) for row in jackknife])
        return metric(self.observed)[0], np.ascontiguousarray(metric(self.resampled).T), influence

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


def resample(
    matrix: StrategyMatrix, *, resamples: int, seed: int, per_domain: bool = True
) -> dict[str, ResampledMeans]:
    """Return the resampled means of OVERALL and of each domain, and of several domains also MACRO.

    All strategies and domains share the draws.
    """
    design = matrix.design()
    wanted = matrix.domains() if per_domain else {OVERALL: matrix.domains()[OVERALL]}
    domains = [_domain(matrix, design, name, rows) for name, rows in wanted.items()]
    if len(domains) > 2:
        domains.append(_domain(matrix, design, MACRO, wanted[OVERALL], matrix.equal_domain_weights()))
    width = len(COLUMNS) * len(matrix.strategies)
    resampled = {domain.name: np.empty((resamples, width)) for domain in domains}
    medians = {domain.name: np.empty((1 + resamples, len(matrix.strategies))) for domain in domains}
    ratios = {domain.name: _ratios(matrix, domain) for domain in domains}
    pivots = {
        domain: {kind: np.empty((resamples, part.numerator.shape[1])) for kind, part in kinds.items()}
        for domain, kinds in ratios.items()
    }
    for block, weights in Draws(design, resamples, seed).blocks():
        for domain in domains:
            resampled[domain.name][block] = domain.means(weights)
            medians[domain.name][block.start + 1 : block.stop + 1] = domain.medians(weights)
            for kind, part in ratios[domain.name].items():
                pivots[domain.name][kind][block] = absolute_pivots(part, weights[domain.groups], domain.design)
    unweighted = np.ones((design.stratum.size, 1))
    for domain in domains:
        medians[domain.name][:1] = domain.medians(unweighted)
    return {
        domain.name: ResampledMeans(
            domain,
            observed=_means(matrix, domain.means(unweighted)),
            resampled=_means(matrix, resampled[domain.name]),
            jackknife=_means(matrix, jackknife_means(domain.sums, domain.sizes, domain.design)),
            median_latency=medians[domain.name],
            studentised={
                kind: _by_column(kind, part, domain.design, pivots[domain.name][kind])
                for kind, part in ratios[domain.name].items()
            },
        )
        for domain in domains
    }


def _domain(
    matrix: StrategyMatrix, design: Design, name: str, rows: NDArray[np.bool_], weights: Floats | None = None
) -> Domain:
    within, groups = restrict(design, rows)
    values = np.hstack([matrix.values[column][rows] for column in COLUMNS])
    sizes = np.bincount(within.group, weights, minlength=within.stratum.size).astype(float)
    if weights is not None:
        values = values * weights[:, None]
    return Domain(name, rows, groups, within, group_sums(values, within), sizes, matrix.values["latency_s"][rows])


def _ratios(matrix: StrategyMatrix, domain: Domain) -> dict[str, Ratios]:
    """Return the ratios of each kind; the columns of a kind lie side by side."""
    by_column = dict(zip(COLUMNS, np.split(domain.sums, len(COLUMNS), axis=1), strict=True))
    most_expensive = matrix.column(matrix.references.most_expensive)
    found = {}
    for kind, columns in _STUDENTISED.items():
        own = np.hstack([by_column[column] for column in columns])
        theirs = np.hstack(
            [np.repeat(by_column[column][:, [most_expensive]], len(matrix.strategies), 1) for column in columns]
        )
        sizes = np.broadcast_to(domain.sizes[:, None], own.shape)
        found[kind] = {
            MEAN: Ratios(own, sizes, logarithmic=True),
            RATIO_TO_MOST_EXPENSIVE: Ratios(own, theirs, logarithmic=True),
            DIFFERENCE_FROM_MOST_EXPENSIVE: Ratios(own - theirs, sizes, logarithmic=False),
        }[kind]
    return found


def _by_column(kind: str, ratios: Ratios, design: Design, pivots: Floats) -> dict[str, Studentised]:
    columns = _STUDENTISED[kind]
    parts = [np.split(each, len(columns), axis=-1)
             for each in (ratios.observed, standard_errors(ratios, design), pivots)]  # fmt: skip
    return {
        column: Studentised(estimate, error, distance, ratios.logarithmic)
        for column, estimate, error, distance in zip(columns, *parts, strict=True)
    }


def _means(matrix: StrategyMatrix, stacked: Floats) -> Means:
    parts = np.split(stacked, len(COLUMNS), axis=1)
    return Means(matrix.strategies, matrix.references, **dict(zip(COLUMNS, parts, strict=True)))
