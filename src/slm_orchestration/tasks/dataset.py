"""One dataset: its source, its form, and what is known of it; reading it gives tasks and the rows that were refused."""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slm_orchestration.tasks.forms import Form, fill
from slm_orchestration.tasks.sources.row import Row, RowError, Source
from slm_orchestration.tasks.task import Task


@dataclass(frozen=True)
class Dataset:
    """What YAML says about one dataset.

    `extract` maps a regular expression to the template it is searched in; its named groups become fields. `context` is
    the text that several tasks share. `refused` is how many rows of the pinned file are known not to become tasks;
    `wrong` are the numbers of those among them whose reference is known to be wrong.
    `limit` keeps the rows whose ids have the smallest hashes. `core` datasets make up the quick suite. `templated` ones
    are all alike by design, so looking for near duplicates in them would put them all into one group.
    """

    source: Source
    form: Form
    max_tokens: int
    licence: str
    origin: str
    extract: Mapping[str, str] = field(default_factory=dict)
    context: str = ""
    limit: int | None = None
    longest: int = 12_000
    refused: int = 0
    wrong: Sequence[int] = ()
    generated: bool = False
    core: bool = False
    templated: bool = False
    note: str = ""


@dataclass(frozen=True)
class Drafted:
    """A task whose group and split are still open, and the context that it shares with others (empty if none)."""

    task: Task
    context: str


@dataclass(frozen=True)
class Refused:
    """A row that is no task: where it stands and why."""

    where: str
    reason: str


def read(domain: str, name: str, dataset: Dataset) -> Iterator[Drafted | Refused]:
    """Yield each row of a dataset as a task or a refusal, in the order of its rows."""
    rows: Iterator[Row] | list[Row] = dataset.source.rows()
    if dataset.limit is not None:
        # nsmallest keeps `limit` rows in memory, however long the file is.
        rows = heapq.nsmallest(dataset.limit, rows, key=lambda row: _rank(_task_id(domain, name, row)))
        rows.sort(key=lambda row: row.number)
    for row in rows:
        try:
            yield _draft(domain, name, dataset, row)
        except RowError as error:
            yield Refused(row.where, str(error))


def _draft(domain: str, name: str, dataset: Dataset, row: Row) -> Drafted:
    if isinstance(broken := row.fields.get(""), RowError):
        raise broken
    if row.number in dataset.wrong:
        raise RowError("its reference is known to be wrong")
    fields = {**row.fields, **_extracted(dataset.extract, row.fields)}
    task_id = _task_id(domain, name, row)
    prompt = dataset.form.prompt(fields, task_id)
    length = sum(len(message["content"]) for message in prompt.messages)
    if length > dataset.longest:
        raise RowError(f"the prompt has {length} characters; at most {dataset.longest} are allowed")
    task = Task(
        task_id=task_id,
        domain=domain,
        dataset=name,
        group="",
        split="",
        question=prompt.question,
        messages=prompt.messages,
        choices=prompt.choices,
        reference=prompt.reference,
        scorer=prompt.scorer,
        max_tokens=dataset.max_tokens,
    )
    return Drafted(task, f"{name}|{fill(dataset.context, fields)}" if dataset.context else "")


def _extracted(patterns: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pattern, template in patterns.items():
        match = re.search(pattern, fill(template, {**fields, **found}))
        if match is None:
            raise RowError(f"{template!r} does not match {pattern!r}")
        found |= {key: value or "" for key, value in match.groupdict().items()}
    return found


def _task_id(domain: str, name: str, row: Row) -> str:
    return f"{domain}/{name}/{row.number:05d}"


def _rank(task_id: str) -> bytes:
    return hashlib.sha256(task_id.encode()).digest()
