"""Verdicts in words, from intervals and corrected p-values alone: claims, gains over the mixture, kept quality."""

from __future__ import annotations

import pandas as pd

from slm_orchestration.statistics.strategy_matrix import OVERALL, RANDOM

ALPHA = 0.05
SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"
NOT_TESTABLE = "not testable here"
BEATS, NOT_SHOWN, FALLS_SHORT = "beats the mixture", "not shown to beat it", "falls short of it"
NO_INTERVAL = "no interval"


def against_target(low: float | None, high: float | None, *, target: float, at_least: bool) -> str:
    """Return SUPPORTED where the interval lies wholly beyond the target, NOT_SUPPORTED where wholly short of it.

    Else UNDECIDED, and NOT_TESTABLE without an interval. An interval that touches the target from beyond meets it:
    published claims say "at least" or "at most". Raises ValueError where `low` exceeds `high`.
    """
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return NOT_TESTABLE
    if low > high:
        raise ValueError(f"an interval needs low <= high, got {low:g} to {high:g}")
    if not at_least:
        low, high, target = -high, -low, -target
    if low >= target:
        return SUPPORTED
    return NOT_SUPPORTED if high < target else UNDECIDED


def against_mixture(low: float | None, high: float | None, p_adjusted: float | None) -> str:
    """Return BEATS or FALLS_SHORT where the interval of a gain over the mixture lies wholly on one side of 0.

    Where the gain was tested, the corrected p must also be at most ALPHA: of many strategies, some have an interval
    beyond 0 by chance. Else NOT_SHOWN, and NO_INTERVAL without an interval.
    """
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return NO_INTERVAL
    if p_adjusted is not None and p_adjusted > ALPHA:
        return NOT_SHOWN
    if low > 0:
        return BEATS
    return FALLS_SHORT if high < 0 else NOT_SHOWN


def quality_kept(comparisons: pd.DataFrame, *, margin: float, level: float) -> str:
    """Return a sentence on which strategies keep `margin` of the most expensive model's quality (non-inferiority).

    One-sided at (1 - level) / 2. The sentence says where random routing passes too, since kept quality is then no
    merit of routing, and where nothing was tested because the most expensive model is not shown to beat guess.
    """
    rows = _overall(comparisons, "non_inferiority")
    stated = f"quality kept (≥ {margin:.0%} of the most expensive model's, {_alpha(level)} one-sided, Holm)"
    if rows.empty or rows["p_value"].isna().all():
        return f"{stated}: not tested, as the most expensive model is not shown to be better than guess"
    passing = _passing(rows, "p_adjusted", level)
    if not passing:
        return f"{stated}: shown for none; smallest detectable difference {_detectable(rows)}"
    # Random is judged by its uncorrected p-value, the more lenient one.
    too = "; random passes too" if RANDOM in _passing(rows, "p_value", level) else "; random does not"
    return f"{stated}: {', '.join(name for name in passing if name != RANDOM) or 'none'}{too}"


def quality_equivalent(comparisons: pd.DataFrame, *, margin: float, level: float) -> str:
    """Return a sentence on which strategies equal the most expensive model in quality (two one-sided tests, Holm)."""
    rows = _overall(comparisons, "equivalence")
    passing = _passing(rows, "p_adjusted", level)
    stated = f"equivalent in quality (within ± {1 - margin:.0%}, two one-sided tests, Holm)"
    if passing:
        return f"{stated}: {', '.join(passing)}"
    return f"{stated}: undecided for all; {_detectable(rows)} is the smallest difference that could have been shown"


def _overall(comparisons: pd.DataFrame, test: str) -> pd.DataFrame:
    # The most expensive model is also compared with itself; that row is left out.
    rows = comparisons[(comparisons["domain"] == OVERALL) & (comparisons["test"] == test)]
    return rows[rows["strategy"] != rows["baseline"]]


def _passing(rows: pd.DataFrame, column: str, level: float) -> list[str]:
    return sorted(rows.loc[rows[column] <= (1 - level) / 2, "strategy"])


def _alpha(level: float) -> str:
    return f"α = {(1 - level) / 2:.3g}"


def _detectable(rows: pd.DataFrame) -> str:
    found = rows["detectable"].dropna()
    return "nothing" if found.empty else f"{found.min():.3f} to {found.max():.3f}"
