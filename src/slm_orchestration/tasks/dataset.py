"""One dataset: its source of rows, its form and its licence; reading it yields draft tasks and refused rows."""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slm_orchestration.tasks.forms import Form, Prompt, fill_template
from slm_orchestration.tasks.sources.row import Row, RowError, RowSource
from slm_orchestration.tasks.task import Task


@dataclass(frozen=True)
class Dataset:
    """One dataset, as configured in YAML.

    `extract` maps a regular expression to the template that it is searched in; its named groups become fields.
    `context` is a template of the text that several tasks share. `longest` is the limit of a prompt, in characters.
    `refused` is the number of rows of the pinned file known not to become tasks; `wrong` holds the numbers of those
    among them whose reference is wrong. `limit` keeps that many rows, those whose task ids have the smallest hashes.
    `core` datasets make up the quick suite. The rows of `templated` datasets are all alike by design, so near
    duplicates are not searched among them: all would share one group.
    """

    source: RowSource
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
class DraftTask:
    """A task without group and split, and the context that it shares with other tasks (empty if none)."""

    task: Task
    context: str


@dataclass(frozen=True)
class RefusedRow:
    """A row that cannot become a task: its file and line, and the reason."""

    where: str
    reason: str


def read_dataset(domain: str, name: str, dataset: Dataset) -> Iterator[DraftTask | RefusedRow]:
    """Yield each row of a dataset as a draft task or a refused row, in the order of the rows."""
    rows: Iterator[Row] | list[Row] = dataset.source.rows()
    if dataset.limit is not None:
        # nsmallest keeps only `limit` rows in memory.
        rows = heapq.nsmallest(dataset.limit, rows, key=lambda row: _rank(_task_id(domain, name, row)))
        rows.sort(key=lambda row: row.number)
    for row in rows:
        try:
            yield _draft(domain, name, dataset, row)
        except RowError as error:
            yield RefusedRow(row.where, str(error))


def _draft(domain: str, name: str, dataset: Dataset, row: Row) -> DraftTask:
    if row.error is not None:
        raise row.error
    if row.number in dataset.wrong:
        raise RowError("its reference is known to be wrong")
    fields = {**row.fields, **_extract(dataset.extract, row.fields)}
    task_id = _task_id(domain, name, row)
    prompt = dataset.form.prompt(fields, task_id)
    length = sum(len(message["content"]) for message in prompt.messages)
    if length > dataset.longest:
        raise RowError(f"the prompt has {length} characters; at most {dataset.longest} are allowed")
    _check_unicode(prompt)
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
    return DraftTask(task, f"{name}|{fill_template(dataset.context, fields)}" if dataset.context else "")


def _check_unicode(prompt: Prompt) -> None:
    """Raise RowError if a text of the prompt cannot be written as UTF-8, as where JSON holds half a surrogate pair."""
    texts = [*(message["content"] for message in prompt.messages), prompt.question, *(prompt.choices or [])]
    for text in [*texts, prompt.reference]:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code, before = ord(text[error.start]), text[max(0, error.start - 20) : error.start]
            raise RowError(f"half of a surrogate pair (U+{code:04X}) after {before!r} is no text") from None


def _extract(patterns: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pattern, template in patterns.items():
        match = re.search(pattern, fill_template(template, {**fields, **found}))
        if match is None:
            raise RowError(f"{template!r} does not match {pattern!r}")
        found |= {key: value or "" for key, value in match.groupdict().items()}
    return found


def _task_id(domain: str, name: str, row: Row) -> str:
    return f"{domain}/{name}/{row.number:05d}"


def _rank(task_id: str) -> bytes:
    return hashlib.sha256(task_id.encode()).digest()
