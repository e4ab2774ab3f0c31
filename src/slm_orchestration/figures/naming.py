"""How figures and report name, order and judge strategies."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

CONSTANT = "always_"
OVERALL = "overall"

# What every result stands beside: drawn as landmarks, never ranked.
REFERENCES = ("mixture", "random", "guess", "domain_table_given", "oracle", "oracle_permuted")

_ALPHA = 0.05
BEATS, UNDECIDED, SHORT, NO_INTERVAL = "beats the mixture", "not shown to beat it", "falls short of it", "no interval"

_LABELS = {
    "domain_table_given": "domain table (given)",
    "oracle_permuted": "oracle, outcomes permuted",
    "domain_table_predicted": "domain table",
    "knn": "k nearest neighbours",
    "bradley_terry": "Bradley–Terry",
}


def label(strategy: str) -> str:
    """Return the words that stand for a strategy in print; a constant goes by its model's name."""
    return _LABELS.get(strategy, strategy.removeprefix(CONSTANT).replace("_", " "))


def is_constant(strategy: str) -> bool:
    return strategy.startswith(CONSTANT)


def is_contender(strategy: str) -> bool:
    """Return whether a strategy competes, rather than being a constant or a reference."""
    return not is_constant(strategy) and strategy not in REFERENCES


def overall(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows over all domains."""
    return frame[frame["domain"] == OVERALL]


def metric(estimates: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return one metric over all domains, a row per strategy, as the table has it: estimate, low, high, tasks."""
    rows = overall(estimates)
    return rows[rows["metric"] == name].set_index("strategy")


def ranked(estimates: pd.DataFrame) -> list[str]:
    """Return all strategies by their gain over the mixture, the largest first; those without one last, by name."""
    gains = metric(estimates, "gain_over_mixture")["estimate"]
    names = sorted(estimates["strategy"].unique())
    return sorted(names, key=lambda name: -gains.get(name, float("nan")) if pd.notna(gains.get(name)) else float("inf"))


def contenders(estimates: pd.DataFrame) -> list[str]:
    """Return the competing strategies, the largest gain over the mixture first."""
    return [name for name in ranked(estimates) if is_contender(name)]


def constants(estimates: pd.DataFrame) -> list[str]:
    """Return the constant strategies, the cheapest first."""
    costs = metric(estimates, "cost_usd")["estimate"].sort_values(kind="stable")
    return [str(name) for name in costs.index if is_constant(str(name))]


def in_print_order(estimates: pd.DataFrame, strategies: Iterable[str]) -> list[str]:
    """Return `strategies` as tables list them: contenders by gain, then constants by cost, then the references."""
    order = contenders(estimates) + constants(estimates) + list(REFERENCES)
    return [name for name in order if name in set(strategies)]


def corrected_p(comparisons: pd.DataFrame) -> pd.Series:
    """Return the Holm-corrected p of each strategy's paired t-test of quality against the mixture, by strategy."""
    rows = overall(comparisons).query("baseline == 'mixture' and metric == 'quality' and test == 'paired_t'")
    return rows.set_index("strategy")["p_adjusted"].dropna()


def against_mixture(low: float | None, high: float | None, p_adjusted: float | None) -> str:
    """Return what the interval of a gain over the mixture and its test say together, in words.

    It takes an interval wholly on one side of 0 and, where there is a test, a corrected p of at most 5 %: one of many
    strategies is bound to have an interval beyond 0 by chance.
    """
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return NO_INTERVAL
    if p_adjusted is not None and p_adjusted > _ALPHA:
        return UNDECIDED
    if low > 0:
        return BEATS
    return SHORT if high < 0 else UNDECIDED
