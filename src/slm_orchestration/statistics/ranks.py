"""Which strategy is best, said with what is uncertain about it: rank intervals, and a winner without its luck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics.bands import simultaneous
from slm_orchestration.statistics.grid import ROUNDING
from slm_orchestration.statistics.intervals import UndefinedStatistic

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Winner:
    """The best of several estimates: `position`, the estimate without selection's bias, and an interval."""

    position: int
    naive: float
    corrected: float
    low: float
    high: float


def rank_intervals(observed: Floats, drawn: Floats, *, level: float) -> tuple[NDArray, NDArray, NDArray]:
    """Return rank (1 is largest), and the best and the worst rank, of each of `observed`, all holding at once.

    `drawn` is resamples × strategies. A strategy ranks behind those that lie above it in a simultaneous band over all
    pairwise differences (Mogstad, Romano, Shaikh & Wilhelm 2024, Review of Economic Studies 91). Equal ones share a
    rank.
    """
    _check(observed, drawn)
    first, second = np.triu_indices(observed.size, k=1)
    try:
        low, high = simultaneous(observed[first] - observed[second], drawn[:, first] - drawn[:, second], level=level)
    except UndefinedStatistic as reason:
        raise UndefinedStatistic(f"ranks are undefined: differences of the strategies are {reason}") from None
    above = np.zeros((observed.size, observed.size), dtype=bool)
    above[first, second], above[second, first] = low > 0, high < 0
    rank = 1 + (observed[None, :] > observed[:, None] + ROUNDING).sum(axis=1)
    return rank, 1 + above.sum(axis=0), observed.size - above.sum(axis=1)


def winner(observed: Floats, drawn: Floats, *, level: float) -> Winner:
    """Return the largest of `observed` without the luck that made it the largest.

    The bootstrap's own winners exceed what they were drawn from by the bias that is taken off (Efron & Tibshirani
    1993, chapter 10). The interval is the simultaneous band's, which holds whichever strategy is selected.
    """
    _check(observed, drawn)
    # Strategies that decide alike have gains that differ by rounding alone; the first of them is named.
    best = int((observed >= observed.max() - ROUNDING).argmax())
    of_draws = (drawn >= drawn.max(axis=1, keepdims=True) - ROUNDING).argmax(axis=1)
    bias = float(np.mean(drawn[np.arange(len(drawn)), of_draws] - observed[of_draws]))
    low, high = simultaneous(observed, drawn, level=level)
    return Winner(best, float(observed[best]), float(observed[best]) - bias, float(low[best]), float(high[best]))


def _check(observed: Floats, drawn: Floats) -> None:
    if observed.size < 2:
        raise UndefinedStatistic(f"ranks need at least 2 strategies, got {observed.size}")
    if not np.isfinite(observed).all() or drawn.shape[1:] != observed.shape:
        raise ValueError("ranks need one finite estimate per strategy, and resamples of the same strategies")
