"""The strategy matrix: every strategy on the same tasks, the input of estimates and comparisons.

Also the names that strategies and domains have in every table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.statistics.resampling import Design, design

Floats = NDArray[np.float64]

COLUMNS = ("quality", "cost_usd", "latency_s", "small_share", "device_s")
# The value of `domain` in rows over all domains: of all tasks, and of the domains' means, each counted equally.
OVERALL, MACRO = "overall", "macro"
# Names of reference strategies; a constant strategy is named by this prefix and its model.
CONSTANT, GUESS, CLASSIFIER, MIXTURE, RANDOM = "always_", "guess", "classifier", "mixture", "random"
# Metrics whose rows say that a strategy stands apart: its class declares that it reads what no router may, or it learns
# from feedback while it serves and was measured over this many shuffled streams.
PRIVILEGED, STREAMS = "privileged", "streams"
# The same of a strategy that calls one model on every task; `method` names the constant.
EQUALS_CONSTANT = "equals_constant"


@dataclass(frozen=True)
class References:
    """The reference strategies: the ends of the pool by cost, guess, and the vertices of the mixture.

    `guess` is None where no answer without a model is known. `unmeasured` names the columns that are null in the
    decisions: without dollars, a task costs 1 if it called a model that is not small, else 0.
    """

    cheapest: str
    most_expensive: str
    hull: tuple[str, ...]
    guess: str | None = GUESS
    unmeasured: frozenset[str] = frozenset()

    @property
    def zero_cost_vertex(self) -> str | None:
        """The vertex at cost 0 where the mixture starts: guess, or None where cost is counted in calls.

        Counted in calls, small models cost 0 as well.
        """
        return None if "cost_usd" in self.unmeasured else self.guess


@dataclass(frozen=True)
class StrategyMatrix:
    """`values[column]` is tasks × strategies; `tasks` (task_id, domain, dataset, group) describes its rows.

    `apart` are the strategies that do not compete: constants, references, and what equals a constant. They are no part
    of the family that tests are corrected over.
    """

    tasks: pd.DataFrame
    strategies: list[str]
    values: dict[str, Floats]
    references: References
    apart: frozenset[str] = frozenset()

    def design(self) -> Design:
        """The clusters and strata of the tasks."""
        return design(self.tasks)

    def domains(self) -> dict[str, NDArray[np.bool_]]:
        """Which tasks belong to OVERALL (all of them) and to each domain, as Boolean masks."""
        domain = self.tasks["domain"].to_numpy()
        return {OVERALL: np.ones(domain.size, dtype=bool)} | {name: domain == name for name in sorted(set(domain))}

    def equal_domain_weights(self) -> Floats:
        """The weight of each task in MACRO: the domains' weights are equal, and all weights sum to the tasks."""
        _, domain, sizes = np.unique(self.tasks["domain"].to_numpy(str), return_inverse=True, return_counts=True)
        return (domain.size / sizes.size / sizes)[domain]

    def equal_to_constants(self) -> dict[str, str]:
        """Return the constant that a strategy equals, by strategy: the same quality, and the same cost but for its own.

        A router that chose one model for every task still pays for its predictions, the same on each.
        """
        constants = [name for name in self.strategies if name.startswith(CONSTANT)]
        found = {}
        for name in self.strategies:
            for other in (
                constants if name not in constants and name not in (GUESS, CLASSIFIER, MIXTURE, RANDOM) else ()
            ):
                column, same = self.column(name), self.column(other)
                quality, cost, seconds = (
                    self.values[measure][:, column] - self.values[measure][:, same]
                    for measure in ("quality", "cost_usd", "latency_s")
                )
                paid = all(np.ptp(extra) <= 1e-9 * max(np.abs(extra).max(), 1e-12) for extra in (cost, seconds))
                if not quality.any() and paid:
                    found[name] = other
        return found

    def column(self, strategy: str) -> int:
        """The column index of a strategy."""
        return self.strategies.index(strategy)


def references(models: Sequence[str], hull: Sequence[str], *, guess: bool = True) -> References:
    """Return the references of a pool: `models` cheapest first, `hull` the models (or guess) that the mixture mixes.

    `guess` says whether an answer without a model is known. Raises ValueError on fewer than 2 models, on an empty hull
    and on a vertex that is not in the pool.
    """
    if len(models) < 2:
        raise ValueError(f"routing needs a pool of at least 2 models, got {len(models)}")
    if not hull:
        raise ValueError("the mixture needs at least one vertex")
    if unknown := [name for name in hull if name not in {*models, GUESS}]:
        raise ValueError(f"the mixture's vertex {unknown[0]!r} is not a model of the pool ({', '.join(models)})")
    vertices = tuple(GUESS if name == GUESS else constant(name) for name in hull)
    return References(constant(models[0]), constant(models[-1]), vertices, GUESS if guess else None)


def constant(model: str) -> str:
    """The strategy that always calls `model`."""
    return f"{CONSTANT}{model}"


def strategy_matrix(decisions: pd.DataFrame, tasks: pd.DataFrame, references: References) -> StrategyMatrix:
    """Return the strategy matrix of DECISIONS that hold one row per strategy and task.

    `tasks` gives dataset and group of each task and may hold more tasks. Raises ValueError where a strategy appears
    at two thresholds, lacks a task that another one has, or a reference is missing.
    """
    repeated = decisions.duplicated(["strategy", "task_id"])
    if repeated.any():
        row = decisions[repeated].iloc[0]
        raise ValueError(
            f"strategy {row['strategy']!r} decides task {row['task_id']!r} more than once; give one threshold of it"
        )
    strategies = sorted(decisions["strategy"].unique())
    needed = [references.cheapest, references.most_expensive, references.guess, *references.hull]
    if missing := [name for name in needed if name is not None and name not in strategies]:
        raise ValueError(f"no decisions of {missing[0]!r}, which every strategy is measured against; run it first")
    decided, unmeasured = _with_cost_and_latency(decisions, references.guess)
    wide = decided.pivot(index="task_id", columns="strategy", values=list(COLUMNS)).sort_index()
    _check_same_tasks(pd.DataFrame(wide["quality"]))
    known = tasks.drop_duplicates("task_id").set_index("task_id")[["domain", "dataset", "group"]]
    if unknown := list(wide.index.difference(known.index)):
        raise ValueError(f"{len(unknown)} decided tasks are not in the task table, first {unknown[0]!r}")
    values = {name: wide[name][strategies].to_numpy(dtype=float) for name in COLUMNS}
    return StrategyMatrix(
        known.loc[wide.index].reset_index(), strategies, values, replace(references, unmeasured=unmeasured)
    )


def _with_cost_and_latency(decisions: pd.DataFrame, guess: str | None) -> tuple[pd.DataFrame, frozenset[str]]:
    # A guess calls no model: it takes no time even where no call was timed.
    calling = decisions["strategy"] != guess
    escalated = decisions["escalated"].astype(float)
    decided, empty = decisions.assign(small_share=1.0 - escalated), set()
    for column, stand_in in (("cost_usd", escalated), ("latency_s", 0.0)):
        if decisions.loc[calling, column].isna().all():
            decided[column] = stand_in
            empty.add(column)
        elif (lacking := decisions[decisions[column].isna()]).size:
            row = lacking.iloc[0]
            raise ValueError(
                f"{column} of {row['strategy']!r} is null on {row['task_id']!r}, but known of other decisions"
            )
    return decided, frozenset(empty)


def _check_same_tasks(quality: pd.DataFrame) -> None:
    missing = quality.isna()
    if missing.to_numpy().any():
        strategy = str(missing.sum().idxmax())
        tasks = quality.index[missing[strategy]]
        raise ValueError(
            f"{strategy!r} lacks {len(tasks)} of {len(quality)} tasks that others decide, first {tasks[0]!r}"
        )
