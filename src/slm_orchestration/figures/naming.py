"""Labels and print order of strategies in figures and report."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from slm_orchestration.statistics.strategy_matrix import (
    CLASSIFIER,
    CONSTANT,
    EQUALS_CONSTANT,
    GUESS,
    MACRO,
    MIXTURE,
    OVERALL,
    PRIVILEGED,
    RANDOM,
    STREAMS,
)

# Reference strategies: shown beside every result, never ranked.
REFERENCES = (MIXTURE, RANDOM, GUESS, CLASSIFIER, "domain_table_given", "oracle")

_LABELS = {
    "domain_table_given": "domain table (given)",
    "domain_table_predicted": "domain table",
    "knn": "k nearest neighbours",
    "bradley_terry": "Bradley–Terry",
}


def label(strategy: str) -> str:
    """Return the printed label of a strategy; a constant strategy has its model's name."""
    return _LABELS.get(strategy, strategy.removeprefix(CONSTANT).replace("_", " "))


def is_constant(strategy: str) -> bool:
    """Return whether a strategy always calls one model."""
    return strategy.startswith(CONSTANT)


def overall(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows over all domains."""
    return frame[frame["domain"] == OVERALL]


def domains(names: Iterable[str]) -> list[str]:
    """Return the single domains among the names of a `domain` column, sorted."""
    return sorted({str(name) for name in names} - {OVERALL, MACRO})


def unbalanced(estimates: pd.DataFrame) -> bool:
    """Return whether the largest domain has more than twice the tasks of the smallest."""
    tasks = estimates[estimates["domain"].isin(domains(estimates["domain"]))].groupby("domain")["tasks"].max()
    return bool(len(tasks)) and int(tasks.max()) > 2 * int(tasks.min())


def metric(estimates: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of one metric over all domains, indexed by strategy: estimate, low, high, tasks."""
    rows = overall(estimates)
    return rows[rows["metric"] == name].set_index("strategy")


def ranked(estimates: pd.DataFrame) -> list[str]:
    """Return all strategies by their gain over the mixture, the largest first; those without one last, by name."""
    gains = metric(estimates, "gain_over_mixture")["estimate"]
    names = sorted(estimates["strategy"].unique())
    return sorted(names, key=lambda name: -gains.get(name, float("nan")) if pd.notna(gains.get(name)) else float("inf"))


def online(estimates: pd.DataFrame) -> list[str]:
    """Return the strategies that learn from feedback while they serve, the largest gain over the mixture first."""
    found = set(metric(estimates, STREAMS).index)
    return [name for name in ranked(estimates) if name in found]


def privileged(estimates: pd.DataFrame) -> set[str]:
    """Return the strategies whose class declares that it reads what no router may."""
    return set(metric(estimates, PRIVILEGED).index)


def equal_to_constants(estimates: pd.DataFrame) -> dict[str, str]:
    """Return the constant that a strategy equals, by strategy: it calls one model on every task."""
    return {str(name): str(method) for name, method in metric(estimates, EQUALS_CONSTANT)["method"].items()}


def contenders(estimates: pd.DataFrame) -> list[str]:
    """Return the competing strategies, the largest gain over the mixture first.

    No constant and no strategy that equals one, no reference, nothing online and nothing privileged.
    """
    apart = {*REFERENCES, *online(estimates), *privileged(estimates), *equal_to_constants(estimates)}
    return [name for name in ranked(estimates) if not is_constant(name) and name not in apart]


def stand_apart(estimates: pd.DataFrame) -> dict[str, str]:
    """Return what is said in place of a verdict, by strategy: of online ones and of those that equal a constant."""
    streams = metric(estimates, STREAMS)["estimate"].dropna().astype(int)
    said = {str(name): f"online, {count} streams" for name, count in streams.items()}
    return said | {name: f"= {constant}" for name, constant in equal_to_constants(estimates).items()}


def constants(estimates: pd.DataFrame) -> list[str]:
    """Return the constant strategies, the cheapest first."""
    costs = metric(estimates, "cost_usd")["estimate"].sort_values(kind="stable")
    return [str(name) for name in costs.index if is_constant(str(name))]


def in_print_order(estimates: pd.DataFrame, strategies: Iterable[str]) -> list[str]:
    """Return `strategies` as tables list them: contenders by gain, those that equal a constant,
    online ones, constants by cost, references."""
    others = sorted(privileged(estimates) - {*REFERENCES})
    order = [*contenders(estimates), *equal_to_constants(estimates), *online(estimates)]
    order += [*constants(estimates), *REFERENCES, *others]
    return [name for name in order if name in set(strategies)]
