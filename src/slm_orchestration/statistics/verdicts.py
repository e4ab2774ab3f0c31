"""What the tests of kept quality say, in words: kept, equivalent, or undecided with what could have been shown."""

from __future__ import annotations

import pandas as pd

RANDOM = "random"


def quality_kept(comparisons: pd.DataFrame, *, margin: float, level: float) -> str:
    """Return which strategies keep `margin` of the dearest model's quality (non-inferiority, Holm), in one sentence.

    One-sided at (1 - level) / 2. Says so where random passes too, since keeping quality then shows no routing, and
    where nothing was tested because the dearest model is not shown to be better than guess.
    """
    rows = _overall(comparisons, "non_inferiority")
    stated = f"quality kept (≥ {margin:.0%} of the dearest model's, {_alpha(level)} one-sided, Holm)"
    if rows.empty or rows["p_value"].isna().all():
        return f"{stated}: not tested, as the dearest model is not shown to be better than guess"
    passing = _passing(rows, "p_adjusted", level)
    if not passing:
        return f"{stated}: shown for none; {_detectable(rows)} below the margin could not have been told from it"
    # Random is asked for less, without the correction, so that it is never called worse than it is.
    too = "; random passes too" if RANDOM in _passing(rows, "p_value", level) else "; random does not"
    return f"{stated}: {', '.join(name for name in passing if name != RANDOM) or 'none'}{too}"


def quality_equivalent(comparisons: pd.DataFrame, *, margin: float, level: float) -> str:
    """Return which strategies are equivalent to the dearest model in quality (two one-sided tests), in one sentence."""
    rows = _overall(comparisons, "equivalence")
    passing = _passing(rows, "p_adjusted", level)
    stated = f"equivalent in quality (within ± {1 - margin:.0%}, two one-sided tests, Holm)"
    if passing:
        return f"{stated}: {', '.join(passing)}"
    return f"{stated}: undecided for all; {_detectable(rows)} is the smallest difference that could have been shown"


def _overall(comparisons: pd.DataFrame, test: str) -> pd.DataFrame:
    # The dearest model is compared with itself too; that it keeps its own quality is no finding.
    rows = comparisons[(comparisons["domain"] == "overall") & (comparisons["test"] == test)]
    return rows[rows["strategy"] != rows["baseline"]]


def _passing(rows: pd.DataFrame, column: str, level: float) -> list[str]:
    return sorted(rows.loc[rows[column] <= (1 - level) / 2, "strategy"])


def _alpha(level: float) -> str:
    return f"α = {(1 - level) / 2:.3g}"


def _detectable(rows: pd.DataFrame) -> str:
    found = rows["detectable"].dropna()
    return "nothing" if found.empty else f"{found.min():.3f} to {found.max():.3f}"
