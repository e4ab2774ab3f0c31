"""Outcomes of a pool on a set of tasks as arrays, tasks × models: what every strategy chooses from and replay pays."""

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
# The two views of a request that a router can read: all messages as the model receives them, or the last question
# without the template of its dataset, which tells the dataset.
REQUEST, QUESTION = "request", "question"
ANSWER_COLUMNS = ["answer", "confidence", "signals", "completion_tokens", "finish_reason"]


class NotRecorded(ValueError):
    """A router reads what was not recorded; the message says what is missing and how to record it."""


@dataclass(frozen=True)
class SideTable:
    """Hidden states or sampled answers of one model, one per task, and what recording them cost."""

    values: NDArray
    cost_usd: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    device_s: NDArray[np.float64]

    def take(self, rows: NDArray[np.intp]) -> SideTable:
        """Return the given tasks."""
        return SideTable(self.values[rows], self.cost_usd[rows], self.latency_s[rows], self.device_s[rows])


@dataclass(frozen=True)
class OutcomeMatrix:
    """Outcomes as tasks × models, cheapest model first.

    `tasks` has a row per task: task_id, domain, dataset, group, split, question, guess_quality, and where the messages
    are known request, system and earlier (see tasks.task.request_views), choices and reference, which only references
    may read.
    `answers` has a row per task and model, task by task: model and ANSWER_COLUMNS, which routers see only of called
    models. Where no dollars were recorded, `cost_unit` is "calls" and `cost_usd` is 0 for a small model and 1 for any
    other; tables then leave dollars empty. Seconds that were not recorded are NaN. `side` holds states and samples by
    the read that names them: state:<model>, samples:<model>:<k>. `reference` is the model whose quality and cost
    operating points compare with; -1 is the most expensive one.
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
    side: Mapping[str, SideTable] = field(default_factory=dict)
    reference: int = -1

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def reference_in_words(self) -> str:
        """The reference by its name, or as the most expensive model where it is that one."""
        last = self.reference in (-1, len(self.models) - 1)
        return "the most expensive model" if last else self.models[self.reference]

    @property
    def prompts(self) -> pd.Series:
        """What routers read as the prompt: the view that `reading` chose, else the whole request, else the question."""
        return self.tasks[next(name for name in ("prompt", REQUEST, QUESTION) if name in self.tasks)]

    def reading(self, view: str) -> Self:
        """Return the outcomes with `view` as the prompt: request, or question. Where only a question is known, that.

        With the question, the other parts of the request are left out.
        """
        if view not in (REQUEST, QUESTION):
            raise ValueError(f"view={view}: allowed is {REQUEST} or {QUESTION}")
        unseen = [REQUEST, "system", "earlier"] if view == QUESTION else []
        tasks = self.tasks.drop(columns=unseen, errors="ignore")
        return replace(self, tasks=tasks.assign(prompt=tasks[view if view in tasks else QUESTION]))

    def where(self, split: str) -> Self:
        """Return the tasks of one split: fit, calibration or evaluation."""
        return self.take(np.flatnonzero(self.tasks["split"].to_numpy() == split))

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return the tasks at `rows`, in that order."""
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
            side={read: table.take(rows) for read, table in self.side.items()},
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
        missing = wanted[position < 0]
        raise ValueError(
            f"{len(missing)} outcomes are missing, first of model {missing[0][1]!r} on task {missing[0][0]!r}; "
            "`python -m experiments.collect` records them"
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


def imported_matrix(imported: Imported) -> OutcomeMatrix:
    """Return imported outcomes as a matrix; raw signals become confidences calibrated on fit tasks."""
    return outcome_matrix(
        calibrate_confidence(imported.outcomes),
        imported.tasks,
        imported.models,
        small=imported.small,
        cost_unit=imported.cost_unit,
    )


def samples_table(table: pd.DataFrame, task_ids: pd.Series, model: str, count: int) -> SideTable:
    """Return the first `count` sampled answers of each task from a SAMPLES table, and what they cost together.

    Multiple-choice tasks have no samples. Raises NotRecorded where another task has fewer than `count`.
    """
    first = table.sort_values(["task_id", "repeat"]).groupby("task_id").head(count).groupby("task_id")
    drawn = first[list(PAID)].sum().assign(answers=first["answer"].agg(list))
    short = drawn.index[drawn["answers"].map(len) < count]
    if len(short):
        raise NotRecorded(f"{model} has fewer than {count} samples of {len(short)} tasks, first {short[0]!r}")
    ordered = drawn.reindex(task_ids)
    values = np.empty(len(ordered), dtype=object)
    for row, answers in enumerate(ordered["answers"]):
        values[row] = answers if isinstance(answers, list) else []
    return SideTable(values, *ordered[list(PAID)].fillna(0.0).to_numpy(float).T)
