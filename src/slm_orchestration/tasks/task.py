"""The task, and its table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields

import pandas as pd

from slm_orchestration import tables

SPLITS = ("pilot", "fit", "calibration", "evaluation")


@dataclass(frozen=True)
class Task:
    """One question with a checkable answer.

    `question` is the last request without the dataset's template, `messages` the chat messages (role and content) sent
    to a model. `choices` are the labels of a multiple-choice task. `scorer` names the module of
    `slm_orchestration.tasks.scoring` that grades an answer against `reference`.
    """

    task_id: str
    domain: str
    dataset: str
    group: str
    split: str
    question: str
    messages: list[dict[str, str]]
    choices: list[str] | None
    reference: str
    scorer: str
    max_tokens: int


def request_views(messages: Iterable[Iterable[Mapping[str, str]]]) -> pd.DataFrame:
    """Return what a router may read of each request besides its question: one row per conversation.

    `request` holds the contents of all messages as the model receives them, `system` those of system messages and
    `earlier` those between these and the last message, each joined by blank lines.
    """
    rows = []
    for conversation in messages:
        listed = list(conversation)
        system = [message["content"] for message in listed if message["role"] == "system"]
        earlier = [message["content"] for message in listed[:-1] if message["role"] != "system"]
        whole = [message["content"] for message in listed]
        rows.append(tuple("\n\n".join(part) for part in (whole, system, earlier)))
    return pd.DataFrame(rows, columns=["request", "system", "earlier"])


def request_table(tasks: Iterable[Task]) -> pd.DataFrame:
    """Return question, request, system and earlier of each task."""
    listed = list(tasks)
    return request_views(task.messages for task in listed).assign(question=[task.question for task in listed])


def to_table(tasks: Iterable[Task]) -> pd.DataFrame:
    """Return the TASKS table of `tasks`, in their order."""
    return tables.conform(pd.DataFrame([asdict(task) for task in tasks], columns=tables.TASKS.names), tables.TASKS)


def from_table(table: pd.DataFrame) -> list[Task]:
    """Return the tasks of a TASKS table, in its order.

    Raises ValueError for a split that does not exist, no chat messages, or an empty list of choices.
    """
    names = [field.name for field in fields(Task)]
    return [_task(dict(zip(names, row, strict=True))) for row in table[names].itertuples(index=False, name=None)]


def _task(row: dict) -> Task:
    row["messages"] = [dict(message) for message in row["messages"]]
    row["choices"] = None if row["choices"] is None else list(row["choices"])
    row["max_tokens"] = int(row["max_tokens"])
    if row["split"] not in SPLITS:
        raise ValueError(f"{row['task_id']}: split={row['split']!r}: allowed is {', '.join(SPLITS)}")
    if not row["messages"] or row["choices"] == []:
        raise ValueError(f"{row['task_id']}: messages must not be empty, and choices be null where there are none")
    return Task(**row)
