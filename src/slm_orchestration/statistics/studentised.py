"""Symmetric bootstrap-t: resamples measured in their own standard errors, for what is skewed (Hall 1988, JRSS B 50).

Costs and seconds are so skewed that a resample without the few dear tasks has a smaller mean and a smaller spread at
once. BCa intervals of 200 tasks then hold the truth in 91 to 93 % instead of 95 %. In units of its own standard error
a resample strays about as far as the sample does. Ratios of positive means are taken as logarithms, so that no
interval reaches below 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics.grid import ROUNDING
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.resampling import Design

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


def strays(ratios: Ratios, weights: Floats, design: Design) -> Floats:
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
