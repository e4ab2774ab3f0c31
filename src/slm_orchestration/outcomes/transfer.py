"""Answers that another machine recorded: read without trust, checked against tasks, and added to a folder's own.

What is taken are answers alone. Their quality, seconds and dollars stay null until they are graded and priced here.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from slm_orchestration import tables
from slm_orchestration.models.model import Completion
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.collect import outcome_row, recorded_answer
from slm_orchestration.outcomes.latency import COLUMNS, read_profile, write_profile
from slm_orchestration.outcomes.store import Answer, ConfigurationChanged, identity_differences, task_checksum
from slm_orchestration.tables import OUTCOMES
from slm_orchestration.tasks.task import Task

# A table of answers that takes more memory than this is refused; 30,000 answers take about 20 MB.
_MOST_TABLE_BYTES = 1 << 30
_SECONDS = ["fixed_s", "prefill_s_per_token", "decode_s_per_token", "heldout_error"]


class NotTheseAnswers(ValueError):
    """A recording is damaged, or belongs to other tasks or another model; the message says which."""


@dataclass(frozen=True)
class Recording:
    """Answers of one model, with its identity and the provenance of the run (empty where it was cut off)."""

    identity: Mapping[str, str]
    provenance: Mapping[str, object]
    answers: Sequence[Answer]


def read_recording(folder: Path, model: str) -> Recording | None:
    """Return what a table and a journal of a stranger's folder hold; None if there is neither, or no answer yet.

    Raises NotTheseAnswers if one of them is no recording of answers.
    """
    table, journal = store.outcomes_path(folder, model), store.journal_path(folder, model)
    try:
        found = _of_table(table) if table.exists() else None
        identity = found.identity if found else store.journal_identity(journal)
        if identity is None:
            return found
        later = store.Journal(journal, identity).read()
        recording = Recording(identity, found.provenance if found else {}, [*(found.answers if found else ()), *later])
        for answer in recording.answers:
            _check_form(answer)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].replace(f"{folder}/", "")
        raise NotTheseAnswers(f"{model}: not a recording of answers ({reason})") from error
    return recording


def check_recording(recording: Recording, model: str, identity: Mapping[str, str], tasks: Sequence[Task]) -> None:
    """Raise NotTheseAnswers unless all answers are to `tasks`, as these are shown now, by the model of `identity`.

    In which dtype it computed depends on the machine, and may differ.
    """
    recorded, present = ({**one, "dtype": ""} for one in (recording.identity, identity))
    if changed := identity_differences(recorded, present):
        raise NotTheseAnswers(f"{model}: {'; '.join(changed)}; they are answers of another model or setting")
    checksums = {task.task_id: task_checksum(task) for task in tasks}
    other = [answer.task_id for answer in recording.answers if checksums.get(answer.task_id) != answer.checksum]
    if other:
        raise NotTheseAnswers(f"{model}: {len(other)} answers are to other tasks, first {other[0]!r}")


def check_addable(recording: Recording, tasks: Sequence[Task], folder: Path, model: str) -> None:
    """Raise ConfigurationChanged if the table in `folder` is another setting's, or holds answers to other tasks."""
    path = store.outcomes_path(folder, model)
    if not path.exists():
        return
    frame, metadata = store.read_recorded(folder, model)
    elsewhere = "move that table away, or take them into another folder with inference.folder="
    if changed := identity_differences(store.recorded_identity(metadata), recording.identity):
        raise ConfigurationChanged(f"{path}: {'; '.join(changed)}; {elsewhere}")
    if lost := sorted(set(frame.loc[frame["error"].isna(), "task_id"]) - {task.task_id for task in tasks}):
        raise ConfigurationChanged(
            f"{path}: holds {len(lost)} answers to tasks that are not in the suite, first {lost[0]!r}; {elsewhere}"
        )


def add_answers(recording: Recording, tasks: Sequence[Task], folder: Path, model: str) -> tuple[int, int]:
    """Write the answers that the table in `folder` lacks; return how many were added, and how many it holds then.

    Its own answers stay as they are while what is shown of their tasks is unchanged. A failed call is recorded only
    where there is no answer.
    """
    store.settle(store.outcomes_path(folder, model))
    check_addable(recording, tasks, folder, model)
    by_id, checksums = {task.task_id: task for task in tasks}, {task.task_id: task_checksum(task) for task in tasks}
    kept, metadata = _kept(folder, model, checksums)
    incoming = sorted(
        recording.answers, key=lambda answer: answer.completion is not None
    )  # an answer replaces a failure
    new = {answer.task_id: answer for answer in incoming if pd.notna(kept.get(answer.task_id, {"error": ""})["error"])}
    added = sum(answer.completion is not None for answer in new.values())
    if added or any(task_id not in kept for task_id in new):
        made = {task_id: outcome_row(by_id[task_id], model, answer, None) for task_id, answer in new.items()}
        rows = [(kept | made)[task.task_id] for task in tasks if task.task_id in kept or task.task_id in made]
        known = recording.provenance or store.recorded_provenance(metadata)
        described = store.table_metadata(recording.identity, [checksums[row["task_id"]] for row in rows], known)
        store.write_outcomes(pd.DataFrame(rows, columns=OUTCOMES.names), folder, model, metadata=described)
        return added, sum(pd.isna(row["error"]) for row in rows)
    return 0, sum(pd.isna(row["error"]) for row in kept.values())


def read_timings(path: Path, models: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a stranger's latency profile; empty if there is no file. Raises NotTheseAnswers."""
    try:
        rows = read_profile(path)
        seconds = rows[_SECONDS].astype(float).to_numpy()
        twice = rows.groupby("model")["concurrency"].agg(lambda names: sorted(names) != ["one", "saturated"]).any()
        if list(rows.columns) != COLUMNS or twice or not ((seconds >= 0) & (seconds < math.inf)).all():
            raise ValueError("not the columns, rows or seconds of one")
    except (ValueError, TypeError, KeyError) as error:
        raise NotTheseAnswers(f"{path.name}: not a latency profile ({str(error).splitlines()[0]})") from error
    return rows[rows["model"].isin(models)]


def add_timings(rows: pd.DataFrame, path: Path) -> list[str]:
    """Add the rows of models that the latency profile lacks, and return the names of these models."""
    kept = read_profile(path)
    new = rows[~rows["model"].isin(kept["model"])]
    if len(new):
        write_profile(pd.DataFrame([*kept.to_dict("records"), *new.to_dict("records")]), path)
    return sorted(set(new["model"]))


def _of_table(path: Path) -> Recording:
    sizes = pq.read_metadata(path)
    if sum(sizes.row_group(number).total_byte_size for number in range(sizes.num_row_groups)) > _MOST_TABLE_BYTES:
        raise ValueError(f"it holds more than {_MOST_TABLE_BYTES:,} bytes")
    frame, metadata = tables.read(path, OUTCOMES), tables.read_metadata(path)
    marked = zip(frame.to_dict("records"), store.recorded_checksums(metadata), strict=True)
    answers = [recorded_answer(row, mark) for row, mark in marked]
    return Recording(store.recorded_identity(metadata), store.recorded_provenance(metadata), answers)


def _kept(folder: Path, model: str, checksums: Mapping[str, str]) -> tuple[dict[str, dict], dict[str, str]]:
    """Return the rows of the table in `folder` whose task is shown unchanged, by task id, and its metadata."""
    if not store.outcomes_path(folder, model).exists():
        return {}, {}
    frame, metadata = store.read_recorded(folder, model)
    marked = zip(frame.to_dict("records"), store.recorded_checksums(metadata), strict=True)
    return {row["task_id"]: row for row, mark in marked if checksums.get(row["task_id"]) == mark}, metadata


def _check_form(answer: Answer) -> None:
    """Raise ValueError unless the parts of an answer have the types that a model gives them."""
    completion = answer.completion
    texts = [answer.task_id, answer.checksum, *([answer.error] if completion is None else _texts(completion))]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"the answer to {answer.task_id!r} is not text")
    for text in texts:
        str(text).encode()  # half a surrogate pair cannot be written
    if completion is None:
        return
    counts = (completion.prompt_tokens, completion.completion_tokens)
    signals = completion.signals
    if answer.error is not None:
        raise ValueError(f"{answer.task_id!r} has both an answer and an error")
    if not isinstance(signals, dict) or not all(map(_is_finite, signals.values())):
        raise ValueError(f"the signals of {answer.task_id!r} are not numbers")
    if not all(type(count) is int and 0 <= count < 1 << 31 for count in counts):
        raise ValueError(f"the tokens of {answer.task_id!r} are not counted")


def _is_finite(value: object) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def _texts(completion: Completion) -> list[object]:
    return [completion.answer, completion.finish_reason, json.dumps(completion.signals, ensure_ascii=False)]
