"""Power of the paired t-test, exactly: smallest detectable differences, and how many tasks show a retention or gain.

The number of tasks follows from the variance of recorded outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats

from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.metrics import mixture_per_task
from slm_orchestration.statistics.paired_tests import standard_error
from slm_orchestration.statistics.resampling import Design
from slm_orchestration.statistics.strategy_matrix import StrategyMatrix

Floats = NDArray[np.float64]

MOST_PAIRS = 100_000_000


def power(difference: float, spread: float, pairs: int, *, alpha: float = 0.05, sides: int = 2) -> float:
    """Return the power of a paired t-test for a mean difference; `spread` is the differences' standard deviation."""
    if pairs < 2:
        raise UndefinedStatistic(f"a paired t-test needs at least 2 pairs, got {pairs}")
    if not spread > 0:
        raise UndefinedStatistic("differences that do not vary need no test")
    critical = special.stdtrit(pairs - 1, 1 - alpha / sides)
    shift = abs(difference) / spread * math.sqrt(pairs)
    far = stats.nct.sf(critical, pairs - 1, shift)
    opposite = 0.0 if sides == 1 else float(stats.nct.cdf(-critical, pairs - 1, shift))
    return float(far) + (0.0 if math.isnan(opposite) else opposite)  # scipy returns nan where it is below 1e-9


def detectable_difference(
    spread: float, pairs: int, *, chance: float = 0.8, alpha: float = 0.05, sides: int = 2
) -> float:
    """Return the smallest mean difference that a paired t-test of `pairs` pairs finds with power `chance`."""
    high = spread / math.sqrt(pairs)
    while power(high, spread, pairs, alpha=alpha, sides=sides) < chance:
        high *= 2

    def missing(difference: float) -> float:
        return power(difference, spread, pairs, alpha=alpha, sides=sides) - chance

    return float(optimize.brentq(missing, 0.0, high, xtol=1e-12 * spread))


def pairs_needed(difference: float, spread: float, *, chance: float = 0.8, alpha: float = 0.05, sides: int = 2) -> int:
    """Return how many pairs a paired t-test needs to find a mean difference with power `chance`."""
    if difference == 0:
        raise UndefinedStatistic("no number of tasks shows a difference of 0")
    low, high = 2, 4
    while power(difference, spread, high, alpha=alpha, sides=sides) < chance:
        low, high = high, high * 2
        if high > MOST_PAIRS:
            raise UndefinedStatistic(f"more than {MOST_PAIRS} pairs are needed to show a difference of {difference:g}")
    while high - low > 1:
        middle = (low + high) // 2
        found = power(difference, spread, middle, alpha=alpha, sides=sides) >= chance
        low, high = (low, middle) if found else (middle, high)
    return high if power(difference, spread, low, alpha=alpha, sides=sides) < chance else low


def pairs_for_equivalence(margin: float, spread: float, *, chance: float = 0.8, alpha: float = 0.05) -> int:
    """Return how many pairs show by two one-sided tests, with power `chance`, that a mean lies within ± `margin`.

    For a true mean of 0: the margin must be t(1 - alpha) + t((1 + chance) / 2) standard errors wide (Schuirmann 1987).
    """
    if not margin > 0 or not spread > 0:
        raise UndefinedStatistic("equivalence needs a margin and a spread above 0")
    low, high = 1, 2
    while _equivalence_width(high, chance, alpha) * spread > margin:
        low, high = high, 2 * high
        if high > MOST_PAIRS:
            raise UndefinedStatistic(f"more than {MOST_PAIRS} pairs are needed to show equivalence within {margin:g}")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _equivalence_width(middle, chance, alpha) * spread <= margin else (middle, high)
    return high


def gains_table(matrix: StrategyMatrix, sizes: Sequence[float], *, level: float) -> pd.DataFrame:
    """Return the tasks that show a gain over the mixture of each size, and equivalence within it; a row per strategy.

    From the spread of the recorded gains, with a power of 80 %, for a test alone and for the first step of Holm's
    procedure over all strategies that compete (`family`), which every one of them must pass if the others fail.
    """
    family, design = [name for name in matrix.strategies if name not in matrix.apart], matrix.design()
    mixed = mixture_per_task(matrix, np.ones(len(matrix.tasks), dtype=bool), "quality")
    differences = matrix.values["quality"] - mixed.expected - mixed.cost_term
    error, groups = standard_error(differences, design)
    rows = []
    for name in family:
        spread = float(error[matrix.column(name)]) * math.sqrt(groups)
        if not spread > 0:
            continue
        for size in sizes:
            for tested, alpha in (("alone", 1 - level), (f"family of {len(family)}", (1 - level) / len(family))):
                needed = pairs_needed(size, spread, alpha=alpha), pairs_for_equivalence(size, spread, alpha=alpha)
                per_group = len(matrix.tasks) / groups
                rows.append((name, spread, size, tested, *(math.ceil(pairs * per_group) for pairs in needed)))
    return pd.DataFrame(
        rows, columns=["strategy", "spread", "gain", "tested", "tasks_to_show", "tasks_for_equivalence"]
    )


def detectable(differences: Floats, design: Design, *, alpha: float, sides: int = 2) -> Floats:
    """Return each column's smallest mean that the paired t-test finds with a power of 80 %; nan without variance.

    `differences` is tasks × strategies.
    """
    error, groups = standard_error(differences, design)
    return np.where(error > 0, detectable_in_standard_errors(groups, alpha, sides) * error, np.nan)


@dataclass(frozen=True)
class PairedQualities:
    """Recorded qualities per task of one strategy and of the most expensive model, with the design of the tasks."""

    strategy: Floats
    most_expensive: Floats
    design: Design

    def spread(self, retention: float) -> tuple[float, float]:
        """Return the standard deviation over groups of q_r - retention · q_L, and the mean tasks per group."""
        error, groups = standard_error((self.strategy - retention * self.most_expensive)[:, None], self.design)
        if not error[0] > 0:
            raise UndefinedStatistic("qualities that do not vary do not determine how many tasks are needed")
        return float(error[0]) * math.sqrt(groups), len(self.strategy) / groups


def tasks_for_interval(recorded: PairedQualities, *, retention: float, within: float, level: float) -> int:
    """Return how many tasks give retention an interval of ± `within`, if the true one is `retention` (delta method)."""
    spread, per_group = recorded.spread(retention)
    half_width = within * _most_expensive_quality(recorded)
    return math.ceil((float(special.ndtri((1 + level) / 2)) * spread / half_width) ** 2 * per_group)


def tasks_to_show(recorded: PairedQualities, *, retention: float, within: float, level: float) -> int:
    """Return how many tasks show with a power of 80 % that retention exceeds `retention` - `within`.

    By the one-sided paired t-test of q_r - (retention - within) · q_L, as in the test of non-inferiority, if the true
    retention is `retention`.
    """
    spread, per_group = recorded.spread(retention - within)
    shift = within * _most_expensive_quality(recorded)
    return math.ceil(pairs_needed(shift, spread, alpha=(1 - level) / 2, sides=1) * per_group)


def detectable_with(recorded: PairedQualities, tasks: int, *, level: float) -> float:
    """Return the smallest difference in mean quality that `tasks` like the recorded ones show with a power of 80 %."""
    spread, per_group = recorded.spread(1.0)
    groups = int(tasks / per_group)
    if groups < 2:
        raise UndefinedStatistic(f"a paired t-test needs at least 2 groups of tasks, {tasks} tasks make {groups}")
    return detectable_difference(spread, groups, alpha=1 - level)


@lru_cache(maxsize=4096)
def detectable_in_standard_errors(groups: int, alpha: float, sides: int = 2) -> float:
    """Return the smallest mean that a paired t-test over `groups` finds with a power of 80 %, in standard errors."""
    # In this unit it depends on the number of groups alone; cached, because brentq is slow.
    return detectable_difference(math.sqrt(groups), groups, alpha=alpha, sides=sides)


def _equivalence_width(pairs: int, chance: float, alpha: float) -> float:
    if pairs < 2:
        return math.inf
    return float(special.stdtrit(pairs - 1, [1 - alpha, (1 + chance) / 2]).sum()) / math.sqrt(pairs)


def _most_expensive_quality(recorded: PairedQualities) -> float:
    quality = float(recorded.most_expensive.mean())
    if not quality > 0:
        raise UndefinedStatistic("retention is undefined: the most expensive model is never right")
    return quality
