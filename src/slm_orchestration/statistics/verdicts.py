"""Verdicts in words, from intervals and corrected p-values alone: claims, gains over the mixture, kept quality.

Whether a strategy beats the mixture is decided here and nowhere else: leaderboard, figures, paper, report and advice
print what `gain_verdicts` returns.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from slm_orchestration.statistics.strategy_matrix import MIXTURE, OVERALL, RANDOM

ALPHA = 0.05
SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"
NOT_TESTABLE = "not testable here"
# Of a gain over the mixture; UNDECIDED too.
BETTER, WORSE, SAME, NO_INTERVAL = "better", "worse", "the mixture itself", "no interval"


@dataclass(frozen=True)
class GainVerdict:
    """Whether a strategy beats the mixture, and what the corrected test could have shown.

    `detectable` is the smallest gain or loss that it finds with a power of 80 %; gains and losses of
    `equivalent_within` or more are excluded. `p_adjusted` is Holm's.
    """

    word: str
    p_adjusted: float
    detectable: float
    equivalent_within: float

    def __str__(self) -> str:
        if self.word != UNDECIDED:
            return self.word
        return f"undecided (finds ±{self.detectable:.3f}, excludes ±{self.equivalent_within:.3f})"


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


def gain_verdicts(comparisons: pd.DataFrame) -> dict[str, GainVerdict]:
    """Return the verdict on each strategy's gain over the mixture, from the rows of COMPARISONS over all domains.

    BETTER or WORSE where the interval lies wholly on one side of 0 and Holm's p of the paired t-test is at most ALPHA:
    of many strategies, some have an interval beyond 0 by chance. SAME where the gain is 0 on every task, NO_INTERVAL
    where there is none, else UNDECIDED.
    """
    rows = comparisons[(comparisons["domain"] == OVERALL) & (comparisons["baseline"] == MIXTURE)]
    rows = rows[(rows["metric"] == "quality") & (rows["test"] == "paired_t")]
    numbers = ("p_adjusted", "detectable", "equivalent_within")
    return {
        str(row["strategy"]): GainVerdict(_gain_word(row), *(float(row[name]) for name in numbers))
        for row in rows.to_dict("records")
    }


def _gain_word(row: dict) -> str:
    if pd.notna(row["difference"]) and pd.isna(row["detectable"]) and row["difference"] == 0:
        return SAME
    return gain_word(row["low"], row["high"], row["p_adjusted"])


def gain_word(low: float, high: float, p_adjusted: float) -> str:
    """Return BETTER or WORSE where interval and corrected p both say so, NO_INTERVAL without them, else UNDECIDED."""
    if pd.isna(low) or pd.isna(high) or pd.isna(p_adjusted):
        return NO_INTERVAL
    if p_adjusted > ALPHA or low <= 0 <= high:
        return UNDECIDED
    return BETTER if low > 0 else WORSE


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
