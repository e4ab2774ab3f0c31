"""Tests and effect sizes of paired differences over groups of tasks, vectorised over strategies.

Where every group is one task they are Student's paired t-test, the exact McNemar test and the sign-flip permutation
test. Where tasks are clustered, the group is the unit, so that correlated tasks do not count as independent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from slm_orchestration.statistics.resampling import Design, group_sums

Floats = NDArray[np.float64]

# Rows of one block of sign flips.
_BLOCK = 1000
# Sums that differ by rounding alone are equal.
_SLACK = 1 - 1e-12
# A p-value is never 0: below the smallest normal number it is that number.
_SMALLEST_P = float(np.finfo(float).tiny)


def paired_t(differences: Floats, design: Design) -> tuple[Floats, Floats]:
    """Return t and its two-sided p for each column of `differences` (tasks × strategies); nan where they do not vary.

    The standard error is over groups, without finite corrections beyond G / (G - 1); degrees of freedom G - 1.
    """
    error, groups = standard_error(differences, design)
    mean = differences.mean(axis=0)
    statistic = np.divide(mean, error, out=np.full(mean.shape, np.nan), where=error > 0)
    return statistic, np.maximum(2 * special.stdtr(groups - 1, -np.abs(statistic)), _SMALLEST_P)


def standard_error(differences: Floats, design: Design) -> tuple[Floats, int]:
    """Return the standard error of each column's mean over groups of tasks, 0 where it does not vary, and the groups.

    Raises ValueError on fewer than 2 groups and on differences that are not finite.
    """
    groups = np.unique(design.group).size
    if groups < 2:
        raise ValueError(f"a paired t-test needs at least 2 groups of tasks, got {groups}")
    if undefined := np.count_nonzero(np.isinf(differences)):
        raise ValueError(f"a paired t-test needs finite differences, got {undefined} infinite ones")
    residuals = group_sums(differences - differences.mean(axis=0), design) / len(differences)
    error = np.sqrt(groups / (groups - 1) * np.sum(residuals**2, axis=0))
    return np.where(error > 1e-12 * np.max(np.abs(differences), axis=0, initial=0.0), error, 0.0), groups


def equivalence(below: Floats, above: Floats, design: Design) -> tuple[Floats, Floats]:
    """Return the smaller t and the larger p of two one-sided tests (Schuirmann 1987) that both means are above 0.

    `below` is the distance to the lower margin and `above` the distance to the upper one, tasks × strategies.
    """
    (low, low_p), (high, high_p) = one_sided_t(below, design), one_sided_t(above, design)
    return np.minimum(low, high), np.maximum(low_p, high_p)


def sign_flips(differences: Floats, design: Design, *, flips: int, seed: int) -> Floats:
    """Return each column's two-sided permutation p, (1 + b) / (1 + n): signs of whole groups flipped at random."""
    sums = group_sums(differences, design)
    observed = np.abs(sums.sum(axis=0))
    rng = np.random.default_rng(seed)
    as_large = np.zeros(observed.shape)
    for start in range(0, flips, _BLOCK):
        height = min(_BLOCK, flips - start)
        signs = rng.integers(0, 2, size=(height, len(sums)), dtype=np.int8) * 2.0 - 1.0
        as_large += np.count_nonzero(np.abs(signs @ sums) >= observed * _SLACK, axis=0)
    p = (1 + as_large) / (1 + flips)
    return np.where(np.isfinite(observed) & np.any(sums != 0, axis=0), p, np.nan)


def mcnemar_exact(differences: Floats, design: Design) -> tuple[Floats, Floats, Floats]:
    """Return groups won, exact two-sided p and Cohen's g of each column of differences in right/wrong quality.

    A group is won where the strategy is right on more of its tasks; tied groups are left out. The null: wins are as
    likely as losses (McNemar 1947; exact binomial). Cohen's g is the share won less one half. nan where all groups
    tie.
    """
    sums = group_sums(differences, design)
    won = np.count_nonzero(sums > 1e-9, axis=0)
    lost = np.count_nonzero(sums < -1e-9, axis=0)
    discordant = won + lost
    tail = stats.binom.cdf(np.minimum(won, lost), discordant, 0.5)
    p = np.where(discordant > 0, np.clip(2 * tail, _SMALLEST_P, 1.0), np.nan)
    share = np.divide(won, discordant, out=np.full(won.shape, np.nan), where=discordant > 0)
    return won.astype(float), p, share - 0.5


def centred_bootstrap(observed: Floats, resampled: Floats) -> Floats:
    """Return two-sided p-values of rows of `resampled`: the share of resamples as far from the estimate as 0 is."""
    distance = np.abs(observed)[:, None] * _SLACK
    as_far = np.count_nonzero(np.abs(resampled - observed[:, None]) >= distance, axis=1)
    p = (1 + as_far) / (1 + resampled.shape[1])
    varies = np.ptp(resampled, axis=1) > 1e-12 * np.max(np.abs(resampled), axis=1)
    return np.where(varies, p, np.nan)


def one_sided_t(differences: Floats, design: Design) -> tuple[Floats, Floats]:
    """Return t and the one-sided p of "the mean is above 0", as `paired_t` otherwise."""
    statistic, p = paired_t(differences, design)
    return statistic, np.where(statistic > 0, np.maximum(p / 2, _SMALLEST_P), 1 - p / 2)


def cohen_d_z(differences: Floats) -> Floats:
    """Mean difference over the standard deviation of the differences (Cohen 1988; Lakens 2013)."""
    return _over(differences.mean(axis=0), differences.std(axis=0, ddof=1), differences)


def cohen_d_av(strategy: Floats, baseline: Floats) -> Floats:
    """Mean difference over the root mean square of both standard deviations (Cohen's d_av; Cumming 2012)."""
    spread = np.sqrt((strategy.var(axis=0, ddof=1) + baseline.var(axis=0, ddof=1)) / 2)
    return _over((strategy - baseline).mean(axis=0), spread, strategy)


def hedges_g_av(strategy: Floats, baseline: Floats) -> Floats:
    """Cohen's d_av less its bias at small n: times 1 - 3 / (4 · 2n - 9) (Hedges 1981)."""
    return cohen_d_av(strategy, baseline) * (1 - 3 / (8 * len(strategy) - 9))


def _over(mean: Floats, spread: Floats, scale: Floats) -> Floats:
    varies = spread > 1e-12 * np.max(np.abs(scale), axis=0, initial=0.0)
    return np.divide(mean, spread, out=np.full(mean.shape, np.nan), where=varies)
