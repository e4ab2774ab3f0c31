"""How small a difference could have been shown, and how many tasks it takes to show one: paired t-tests, exactly."""

from __future__ import annotations

import math

from scipy import optimize, special, stats

from slm_orchestration.statistics.intervals import UndefinedStatistic

MOST_PAIRS = 100_000_000
# Beyond this shift the other tail is below 1e-9, and scipy may return nan for it.
_NO_OTHER_TAIL = 6.0


def power(difference: float, spread: float, pairs: int, *, alpha: float = 0.05, sides: int = 2) -> float:
    """Return the chance that a paired t-test finds a mean difference; `spread` is the differences' deviation."""
    if pairs < 2:
        raise UndefinedStatistic(f"a paired t-test needs at least 2 pairs, got {pairs}")
    if not spread > 0:
        raise UndefinedStatistic("differences that do not vary need no test")
    critical = special.stdtrit(pairs - 1, 1 - alpha / sides)
    shift = abs(difference) / spread * math.sqrt(pairs)
    far = stats.nct.sf(critical, pairs - 1, shift)
    if sides == 1 or shift > _NO_OTHER_TAIL:
        return float(far)
    return float(far + stats.nct.cdf(-critical, pairs - 1, shift))


def detectable_difference(
    spread: float, pairs: int, *, chance: float = 0.8, alpha: float = 0.05, sides: int = 2
) -> float:
    """Return the smallest mean difference that a paired t-test of `pairs` finds with the given chance."""
    high = spread / math.sqrt(pairs)
    while power(high, spread, pairs, alpha=alpha, sides=sides) < chance:
        high *= 2

    def missing(difference: float) -> float:
        return power(difference, spread, pairs, alpha=alpha, sides=sides) - chance

    return float(optimize.brentq(missing, 0.0, high, xtol=1e-12 * spread))


def pairs_needed(difference: float, spread: float, *, chance: float = 0.8, alpha: float = 0.05, sides: int = 2) -> int:
    """Return how many pairs a paired t-test needs to find a mean difference with the given chance."""
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


def tasks_for_retention(
    retention: float, within: float, *, dearest_quality: float, disagreement: float, alpha: float = 0.05
) -> int:
    """Return how many tasks give retention an interval of ± `within`.

    For right/wrong quality: by the delta method a task's share of the ratio's variance is that of q_r - retention ·
    q_L over q_L². `disagreement` is the share of tasks on which the strategy and the dearest model differ in being
    right.
    """
    if not 0 < dearest_quality <= 1 or not 0 <= disagreement <= 1:
        raise ValueError(f"shares lie between 0 and 1, got quality {dearest_quality:g}, disagreement {disagreement:g}")
    quality = retention * dearest_quality
    lost, won = (disagreement + dearest_quality - quality) / 2, (disagreement - dearest_quality + quality) / 2
    both = dearest_quality - lost
    if min(lost, won, both) < -1e-12:
        raise UndefinedStatistic(
            f"models that disagree on {disagreement:g} cannot have qualities {quality:g} and {dearest_quality:g}"
        )
    # The residual is 1 - retention where both are right, 1 where only the strategy is, -retention where only the
    # model is.
    variance = both * (1 - retention) ** 2 + won + lost * retention**2
    quantile = special.ndtri(1 - alpha / 2)
    return math.ceil((quantile / within) ** 2 * variance / dearest_quality**2)
