"""The greedy outcomes of a pool on a set of tasks, as arrays that rules can vectorise over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.outcomes.confidence import calibrate_confidence
from slm_orchestration.outcomes.imported.reader import Imported

PAID = ("cost_usd", "latency_s", "device_s")
ANSWER_COLUMNS = ["answer", "confidence", "signals", "completion_tokens", "finish_reason"]


class NotRecorded(ValueError):
    """A router reads what these outcomes do not hold; the message says what is missing and how to record it."""


@dataclass(frozen=True)
class Recorded:
    """One side table in the order of the tasks: a state or a list of samples per task, and what recording it took."""

    values: NDArray
    cost_usd: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    device_s: NDArray[np.float64]

    def take(self, rows: NDArray[np.intp]) -> Recorded:
        """Return the part of some tasks."""
        return Recorded(self.values[rows], self.cost_usd[rows], self.latency_s[rows], self.device_s[rows])


@dataclass(frozen=True)
class OutcomeMatrix:
    """Outcomes as tasks × models, cheapest model first.

    `tasks` has a row per task: task_id, domain, dataset, group, split, question, guess_quality.
    `answers` has a row per task and model, task by task: ANSWER_COLUMNS, which only paid reads may see.
    Where no dollars were recorded, `cost_unit` is "calls" and `cost_usd` counts 1 for a call to a model that is not
    small, else 0; tables then leave dollars empty. Seconds that were not recorded are nan.
    `side` holds what some routers read beside, by its read: state:<model>, samples:<model>:<k>.
    """

    tasks: pd.DataFrame
    models: tuple[str, ...]
    small: frozenset[str]
    quality: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    device_s: NDArray[np.float64]
    answers: pd.DataFrame
    cost_unit: str = "usd"
    side: Mapping[str, Recorded] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tasks)

    def where(self, split: str) -> Self:
        """Return the part of one split."""
        return self.take(np.flatnonzero(self.tasks["split"].to_numpy() == split))

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return the part of some tasks, in the given order."""
        width = len(self.models)
        answer_rows = (np.asarray(rows)[:, None] * width + np.arange(width)).ravel()
        return replace(
            self,
            tasks=self.tasks.iloc[rows].reset_index(drop=True),
            quality=self.quality[rows],
            cost_usd=self.cost_usd[rows],
            latency_s=self.latency_s[rows],
            device_s=self.device_s[rows],
            answers=self.answers.iloc[answer_rows].reset_index(drop=True),
            side={read: recorded.take(rows) for read, recorded in self.side.items()},
        )


def outcome_matrix(
    outcomes: pd.DataFrame, tasks: pd.DataFrame, models: Sequence[str], *, small: Sequence[str], cost_unit: str = "usd"
) -> OutcomeMatrix:
    """Return the greedy outcomes (repeat 0) of `models`, cheapest first, on `tasks`, in the order of `tasks`.

    Raises ValueError if a task lacks an outcome, or if a call failed: a failed call is retried, never averaged.
    """
    if unknown := [name for name in small if name not in models]:
        raise ValueError(f"{unknown[0]!r} is declared small but is no model of the pool ({', '.join(models)})")
    wanted = pd.MultiIndex.from_product([tasks["task_id"], list(models)], names=["task_id", "model"])
    greedy = outcomes[outcomes["repeat"] == 0].set_index(["task_id", "model"])
    position = greedy.index.get_indexer(wanted)
    if (position < 0).any():
        lost = wanted[position < 0]
        raise ValueError(
            f"{len(lost)} outcomes are missing, first of model {lost[0][1]!r} on task {lost[0][0]!r}; "
            "`python -m experiments.collect` answers them"
        )
    table = greedy.iloc[position].reset_index()
    if table["quality"].isna().any():
        failed = table[table["quality"].isna()]
        first = failed.iloc[0]
        raise ValueError(
            f"{len(failed)} calls failed, first of {first['model']!r} on {first['task_id']!r} ({first['error']}); "
            "`python -m experiments.collect` retries them"
        )
    shape = (len(tasks), len(models))
    large_calls = np.tile([float(model not in small) for model in models], (len(tasks), 1))
    return OutcomeMatrix(
        tasks=tasks.reset_index(drop=True),
        models=tuple(models),
        small=frozenset(small),
        quality=table["quality"].to_numpy(float).reshape(shape),
        cost_usd=large_calls if cost_unit == "calls" else table["cost_usd"].to_numpy(float).reshape(shape),
        latency_s=table["latency_s"].to_numpy(float).reshape(shape),
        device_s=table["device_s"].to_numpy(float).reshape(shape),
        answers=table[["model", *ANSWER_COLUMNS]],
        cost_unit=cost_unit,
    )


# ========== Imported outcomes side by side, as strategies and replay want them.
def matrix(imported: Imported) -> OutcomeMatrix:
    """Return the outcomes of all tasks of `imported`, with confidence calibrated on fit tasks where there is one."""
    return outcome_matrix(
        calibrate_confidence(imported.outcomes),
        imported.tasks,
        imported.models,
        small=imported.small,
        cost_unit=imported.cost_unit,
    )


# ========== Recorded samples in the order of tasks, as routers read them.
def recorded_samples(table: pd.DataFrame, task_ids: pd.Series, model: str, count: int) -> Recorded:
    """Return the first `count` answers of each task in SAMPLES, and what they took together; choices have none.

    Raises NotRecorded where a task has fewer.
    """
    first = table.sort_values(["task_id", "repeat"]).groupby("task_id").head(count).groupby("task_id")
    drawn = first[list(PAID)].sum().assign(answers=first["answer"].agg(list))
    short = drawn.index[drawn["answers"].map(len) < count]
    if len(short):
        raise NotRecorded(f"{model} has fewer than {count} samples of {len(short)} tasks, first {short[0]!r}")
    mine = drawn.reindex(task_ids)
    values = np.empty(len(mine), dtype=object)
    for row, given in enumerate(mine["answers"]):
        values[row] = given if isinstance(given, list) else []
    return Recorded(values, *mine[list(PAID)].fillna(0.0).to_numpy(float).T)
