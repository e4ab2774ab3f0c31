"""Intervals (BCa, percentile, Fieller, Wilson) and simultaneous bands; each raises UndefinedStatistic with a reason.

A pointwise interval of 95 % misses somewhere on a curve of 41 thresholds in far more than 5 % of studies. A
simultaneous band covers every point at once: it is as many standard errors wide as the largest deviation of a resampled
curve, over all its points, in 95 % of the resamples (max-t bootstrap; Montiel Olea & Plagborg-Møller 2019, Journal of
Applied Econometrics 34).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from slm_orchestration.statistics.grid import ROUNDING
from slm_orchestration.statistics.resampling import Design, Draws, group_sums

Floats = NDArray[np.float64]


class UndefinedStatistic(ValueError):
    """The input does not determine the statistic; the message gives the reason."""


def percentile(resampled: Floats, *, level: float) -> tuple[float, float]:
    """Return the percentile bootstrap interval of `resampled`, one statistic in many draws."""
    _check_resampled(resampled, level)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bca(resampled: Floats, estimate: float, influence: Floats, *, level: float) -> tuple[float, float]:
    """Return the bias-corrected and accelerated interval (Efron 1987, JASA 82; Davison and Hinkley 1997, section 5.3).

    `influence` is each group's influence on the estimate, as `jackknife_influence` returns it.
    """
    _check_resampled(resampled, level)
    # With right/wrong quality many resamples equal the estimate up to rounding, which differs between machines.
    slack = ROUNDING * max(abs(estimate), float(np.max(np.abs(resampled))))
    ties = np.count_nonzero(np.abs(resampled - estimate) <= slack)
    below = (np.count_nonzero(resampled < estimate - slack) + ties / 2) / resampled.size
    if not 0 < below < 1:
        raise UndefinedStatistic("BCa is undefined: every resample lies on one side of the estimate")
    squares = np.sum(influence**2)
    if not np.isfinite(squares) or squares == 0:
        raise UndefinedStatistic("BCa is undefined: leaving out one group changes nothing, or leaves nothing")
    acceleration = np.sum(influence**3) / (6 * squares**1.5)
    bias = special.ndtri(below)
    shifted = bias + special.ndtri([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(resampled, special.ndtr(bias + shifted / (1 - acceleration * shifted)))
    return float(low), float(high)


def jackknife_influence(jackknife: Floats, design: Design) -> Floats:
    """Return each group's share of the estimate's deviation, from the estimates without each group in turn.

    Within a stratum of n groups (n - 1) / n times the distance to the stratum's mean, so that squares sum to the
    variance and one stratum gives the textbook's acceleration.
    """
    sizes = design.stratum_sizes
    centre = np.bincount(design.stratum, weights=jackknife) / sizes
    return (centre[design.stratum] - jackknife) * ((sizes - 1) / sizes)[design.stratum]


def fieller(
    numerator: float, denominator: float, covariance: Floats, *, degrees: int, level: float
) -> tuple[float, float]:
    """Return Fieller's interval of a ratio of two correlated means (Fieller 1954, JRSS B 16), by Student's t.

    `covariance` is that of (numerator, denominator). Raises UndefinedStatistic where the denominator's own interval
    holds 0: the set of plausible ratios is then unbounded.
    """
    _check_level(level)
    if degrees < 1:
        raise UndefinedStatistic(f"Fieller's interval needs at least 1 degree of freedom, got {degrees}")
    quantile = special.stdtrit(degrees, (1 + level) / 2)
    square = quantile**2
    a = denominator**2 - square * covariance[1, 1]
    if a <= 0:
        raise UndefinedStatistic("the interval of the denominator holds 0")
    b = numerator * denominator - square * covariance[0, 1]
    c = numerator**2 - square * covariance[0, 0]
    spread = np.sqrt(max(b**2 - a * c, 0.0))
    return float((b - spread) / a), float((b + spread) / a)


def wilson(share: float, trials: float, *, level: float) -> tuple[float, float]:
    """Return Wilson's score interval of a share (Wilson 1927, JASA 22); `trials` may be an effective number."""
    _check_level(level)
    if not trials >= 1:
        raise UndefinedStatistic(f"a share needs at least 1 trial, got {trials}")
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies between 0 and 1, got {share}")
    square = special.ndtri((1 + level) / 2) ** 2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    spread = np.sqrt(square * (share * (1 - share) / trials + square / (4 * trials**2))) / (1 + square / trials)
    # Rounding must not move an end past the estimate where the share is 0 or 1.
    return float(max(min(centre - spread, share), 0.0)), float(min(max(centre + spread, share), 1.0))


def simultaneous_band(observed: Floats, resampled: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Return the ends of the band around `observed` (points) from `resampled` (resamples × points).

    A point that is the same in every resample has a band of width 0. Raises UndefinedStatistic where nothing varies.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, got {level}")
    if len(resampled) < 2:
        raise UndefinedStatistic(f"a band needs at least 2 resamples, got {len(resampled)}")
    if undefined := np.count_nonzero(~np.isfinite(resampled).all(axis=1)):
        raise UndefinedStatistic(f"undefined in {undefined} of {len(resampled)} resamples")
    error = resampled.std(axis=0, ddof=1)
    varies = error > 1e-12 * np.max(np.abs(resampled), initial=0.0)
    if not varies.any():
        raise UndefinedStatistic("the same in every resample")
    deviation = np.abs(resampled[:, varies] - observed[varies]) / error[varies]
    width = np.quantile(deviation.max(axis=1), level) * np.where(varies, error, 0.0)
    return observed - width, observed + width


def threshold_bands(curves: dict[str, Floats], most_expensive: Floats, draws: Draws, *, level: float) -> pd.DataFrame:
    """Return strategy, point, metric, estimate, low, high of quality and retention along each strategy's curve.

    `curves` holds tasks × points of quality per strategy, `most_expensive` that model's quality per task; tasks are in
    the order of the design of `draws`, which all strategies share. A curve that never varies has nan as ends.
    """
    names = list(curves)
    ends = np.cumsum([curves[name].shape[1] for name in names])
    values = np.column_stack([*(curves[name] for name in names), most_expensive])
    sizes = np.bincount(draws.design.group, minlength=draws.design.stratum.size).astype(float)
    resampled = draws.means(group_sums(values, draws.design), sizes)
    observed = values.mean(axis=0)
    frames = []
    for name, part in zip(names, np.split(np.arange(ends[-1]), ends[:-1]), strict=True):
        frames += [
            _band(observed[part], resampled[:, part], level).assign(strategy=name, metric="quality"),
            _band(_ratio(observed[part], observed[-1:]), _ratio(resampled[:, part], resampled[:, [-1]]), level).assign(
                strategy=name, metric="retention"
            ),
        ]
    return pd.concat(frames, ignore_index=True)


def _band(observed: Floats, resampled: Floats, level: float) -> pd.DataFrame:
    try:
        low, high = simultaneous_band(observed, resampled, level=level)
    except UndefinedStatistic:
        low = high = np.full(observed.shape, np.nan)
    return pd.DataFrame({"point": np.arange(observed.size), "estimate": observed, "low": low, "high": high})


def _ratio(above: Floats, below: Floats) -> Floats:
    above, below = np.broadcast_arrays(above, below)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _check_resampled(resampled: Floats, level: float) -> None:
    _check_level(level)
    if resampled.size < 2:
        raise UndefinedStatistic(f"an interval needs at least 2 resamples, got {resampled.size}")
    if undefined := np.count_nonzero(~np.isfinite(resampled)):
        raise UndefinedStatistic(f"undefined in {undefined} of {resampled.size} resamples")
    if np.ptp(resampled) <= ROUNDING * np.max(np.abs(resampled)):
        raise UndefinedStatistic("the same in every resample")


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, got {level}")
