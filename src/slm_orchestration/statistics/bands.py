"""Simultaneous bands: intervals that hold at every point of a curve at once, so that a reader may look for the best.

A pointwise interval of 95 % misses somewhere on a curve of 41 thresholds far more often than in 5 % of studies. The
band is as many standard errors wide as the largest deviation of a resampled curve, over all its points, has at most in
95 % of the resamples (max-t bootstrap; Montiel Olea & Plagborg-Møller 2019, Journal of Applied Econometrics 34).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.resampling import Draws, group_sums

Floats = NDArray[np.float64]


def simultaneous(observed: Floats, drawn: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Return the ends of the band around `observed` (points) that `drawn` (resamples × points) gives.

    A point that is the same in every resample gets a band of no width. Raises UndefinedStatistic where nothing varies.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, got {level}")
    if len(drawn) < 2:
        raise UndefinedStatistic(f"a band needs at least 2 resamples, got {len(drawn)}")
    if undefined := np.count_nonzero(~np.isfinite(drawn).all(axis=1)):
        raise UndefinedStatistic(f"undefined in {undefined} of {len(drawn)} resamples")
    error = drawn.std(axis=0, ddof=1)
    varies = error > 1e-12 * np.max(np.abs(drawn), initial=0.0)
    if not varies.any():
        raise UndefinedStatistic("the same in every resample")
    deviation = np.abs(drawn[:, varies] - observed[varies]) / error[varies]
    width = np.quantile(deviation.max(axis=1), level) * np.where(varies, error, 0.0)
    return observed - width, observed + width


def threshold_bands(curves: dict[str, Floats], dearest: Floats, draws: Draws, *, level: float) -> pd.DataFrame:
    """Return strategy, point, metric, estimate, low, high of quality and retention along each strategy's curve.

    `curves` holds tasks × points of quality per strategy, `dearest` the dearest model's quality per task. One walk
    through the draws serves all strategies. A curve that never varies has no band: its ends are nan. The tasks'
    order is that of the draws' design.
    """
    names = list(curves)
    ends = np.cumsum([curves[name].shape[1] for name in names])
    values = np.column_stack([*(curves[name] for name in names), dearest])
    sizes = np.bincount(draws.design.group, minlength=draws.design.stratum.size).astype(float)
    drawn = draws.means(group_sums(values, draws.design), sizes)
    observed = values.mean(axis=0)
    frames = []
    for name, part in zip(names, np.split(np.arange(ends[-1]), ends[:-1]), strict=True):
        frames += [
            _band(observed[part], drawn[:, part], level).assign(strategy=name, metric="quality"),
            _band(_ratio(observed[part], observed[-1:]), _ratio(drawn[:, part], drawn[:, [-1]]), level).assign(
                strategy=name, metric="retention"
            ),
        ]
    return pd.concat(frames, ignore_index=True)


def _band(observed: Floats, drawn: Floats, level: float) -> pd.DataFrame:
    try:
        low, high = simultaneous(observed, drawn, level=level)
    except UndefinedStatistic:
        low = high = np.full(observed.shape, np.nan)
    return pd.DataFrame({"point": np.arange(observed.size), "estimate": observed, "low": low, "high": high})


def _ratio(above: Floats, below: Floats) -> Floats:
    above, below = np.broadcast_arrays(above, below)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
