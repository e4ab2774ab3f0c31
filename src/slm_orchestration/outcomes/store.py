"""Recorded outcomes on disk: one parquet table per model, with a manifest of sha256 checksums.

While a model answers, its answers are appended to a journal, which a killed process leaves readable. A suite can be
collected in shards, on one machine or many, and merged into the table of the whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from slm_orchestration import tables
from slm_orchestration.artifacts import locked, sha256, write_text
from slm_orchestration.models.model import Completion
from slm_orchestration.tasks.task import Task

_MANIFEST = "manifest.json"
# In a manifest, while a table is being replaced: the entry of its replacement.
_REPLACEMENT = "replaced_by"
_IDENTITY, _CHECKSUMS, _PROVENANCE = "identity", "task_checksums", "provenance"


class OutcomesError(ValueError):
    """Recorded outcomes are missing or were changed; the message names the file and the command that restores it."""


class ConfigurationChanged(ValueError):
    """Answers were recorded under another configuration; the message names what differs. No answer is deleted."""


@dataclass(frozen=True)
class Answer:
    """The completion of one task or the error of its call, with the checksum of what the model was shown."""

    task_id: str
    checksum: str
    completion: Completion | None
    error: str | None = None


def outcomes_path(folder: Path, model: str) -> Path:
    """Return the path of the outcomes of one model."""
    return folder / f"{model}.parquet"


def journal_path(folder: Path, model: str) -> Path:
    """Return the path of the answers of one model while its table is incomplete."""
    return folder / f"{model}.journal.partial"


def read_outcomes(folder: Path, models: Sequence[str]) -> pd.DataFrame:
    """Return the OUTCOMES of `models`, concatenated, after checking each table against the manifest.

    Raises OutcomesError if a table is missing, unlisted or changed since it was recorded, or holds ungraded answers.
    """
    frames = [_verified(folder, model) for model in models]
    for model, frame in zip(models, frames, strict=True):
        if ungraded := int((frame["quality"].isna() & frame["error"].isna()).sum()):
            raise OutcomesError(
                f"{outcomes_path(folder, model)}: {ungraded} answers are not graded yet; "
                f"run `python -m experiments.grade {_collect_words(folder)}`"
            )
    return pd.concat(frames, ignore_index=True)


def write_outcomes(frame: pd.DataFrame, folder: Path, model: str, *, metadata: Mapping[str, str]) -> None:
    """Write the OUTCOMES of one model and their entry in the manifest."""
    entry = {
        "rows": len(frame),
        "failed": int(frame["error"].notna().sum()),
        "task_checksums_sha256": hashlib.sha256(metadata[_CHECKSUMS].encode()).hexdigest(),
        **json.loads(metadata[_IDENTITY]),
        **({_PROVENANCE: json.loads(metadata[_PROVENANCE])} if _PROVENANCE in metadata else {}),
    }
    write_listed(outcomes_path(folder, model), frame, tables.OUTCOMES, metadata=metadata, entry=entry)


def write_listed(
    path: Path, frame: pd.DataFrame, schema: pa.Schema, *, metadata: Mapping[str, str], entry: Mapping[str, object]
) -> None:
    """Write the table of one model, and `entry` with the table's sha256 in the folder's manifest; other writers wait.

    The manifest names the replacement before the table is replaced, so that a killed writer leaves a table that is
    listed, old or new.
    """
    folder, model, new = path.parent, path.stem, _replacement_path(path)
    with locked(folder):
        tables.write(frame, schema, new, metadata=dict(metadata))
        listed = {"sha256": sha256(new), **entry}
        before = read_manifest(folder)
        write_manifest(folder, {**before, model: {**before.get(model, {}), _REPLACEMENT: listed}})
        new.replace(path)
        write_manifest(folder, {**before, model: listed})


def is_listed(path: Path) -> bool:
    """Return whether a table is the one that the manifest of its folder lists, or its replacement."""
    entry = read_manifest(path.parent).get(path.stem, {})
    return sha256(path) in (entry.get("sha256"), entry.get(_REPLACEMENT, {}).get("sha256"))


def settle(path: Path) -> None:
    """Finish or undo what a killed writer of a table left unfinished in its folder and manifest."""
    if _REPLACEMENT not in read_manifest(path.parent).get(path.stem, {}):
        return
    with locked(path.parent):
        entries = read_manifest(path.parent)
        entry = entries.pop(path.stem, {})
        replacement = entry.pop(_REPLACEMENT, {})
        if path.exists() and sha256(path) == replacement.get("sha256"):
            entry = replacement
        _replacement_path(path).unlink(missing_ok=True)
        write_manifest(path.parent, {**entries, path.stem: entry} if entry else entries)


def rewrite_outcomes(frame: pd.DataFrame, folder: Path, model: str) -> None:
    """Replace the OUTCOMES of one model by the same answers, graded or priced again.

    Raises OutcomesError, and writes nothing, if the table holds other answers by now.
    """
    before, metadata = read_recorded(folder, model)
    if before["task_id"].tolist() != frame["task_id"].tolist() or not before["answer"].equals(frame["answer"]):
        raise OutcomesError(
            f"{outcomes_path(folder, model)}: answers were added meanwhile; nothing is written, run the command again"
        )
    checksums = dict(zip(before["task_id"], recorded_checksums(metadata), strict=True))
    described = table_metadata(recorded_identity(metadata), [checksums[task_id] for task_id in frame["task_id"]])
    provenance = {_PROVENANCE: metadata[_PROVENANCE]} if _PROVENANCE in metadata else {}
    write_outcomes(frame, folder, model, metadata={**described, **provenance})


def read_recorded(folder: Path, model: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the verified table of one model and its metadata; its answers need not be graded. Raises OutcomesError."""
    return _verified(folder, model), tables.read_metadata(outcomes_path(folder, model))


def table_metadata(
    identity: Mapping[str, str], checksums: Sequence[str], provenance: Mapping[str, object] | None = None
) -> dict[str, str]:
    """Return the metadata of a table: the model's identity, each row's task checksum, and the provenance of the run.

    `provenance` describes the run that wrote the table; rows recorded earlier may come from another machine.
    """
    described = {_IDENTITY: json.dumps(dict(identity), sort_keys=True), _CHECKSUMS: " ".join(checksums)}
    return described | ({_PROVENANCE: json.dumps(dict(provenance), sort_keys=True)} if provenance else {})


def recorded_identity(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the identity of the model that answered."""
    return json.loads(metadata[_IDENTITY])


def recorded_provenance(metadata: Mapping[str, str]) -> dict[str, object]:
    """Return the provenance of the run that wrote the table; empty if it was not recorded."""
    return json.loads(metadata.get(_PROVENANCE, "{}"))


def recorded_checksums(metadata: Mapping[str, str]) -> list[str]:
    """Return the task checksum of each row, in the order of the rows."""
    return metadata[_CHECKSUMS].split()


def task_checksum(task: Task) -> str:
    """Return the first 16 hex digits of the sha256 of what the model is shown: messages, choices and max_tokens."""
    shown = json.dumps([task.messages, task.choices, task.max_tokens], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def identity_differences(recorded: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """Return one phrase for each part of a model's identity that differs from the recorded one."""
    names = sorted(recorded.keys() | present.keys())
    return [
        f"{name} was {recorded.get(name)!r} and is {present.get(name)!r}"
        for name in names
        if recorded.get(name) != present.get(name)
    ]


def read_manifest(folder: Path) -> dict[str, dict]:
    """Return the entries of a folder's manifest by model; empty if it has none. Raises OutcomesError if unreadable."""
    path = folder / _MANIFEST
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise ValueError("it holds no entry per table")
    except ValueError as error:
        raise OutcomesError(f"{path}: not a readable manifest ({error}); restore it from version control") from error
    return entries


def write_manifest(folder: Path, entries: Mapping[str, object]) -> None:
    """Write the entries of a folder's manifest."""
    write_text(folder / _MANIFEST, json.dumps(dict(entries), indent=2, sort_keys=True) + "\n")


def journal_identity(path: Path) -> dict[str, str] | None:
    """Return the identity that a journal was begun with; None if there is none, or its first line was cut off."""
    if not path.exists():
        return None
    with path.open("rb") as stream:
        first = stream.readline()
    return dict(json.loads(first)) if first.endswith(b"\n") else None


class Journal:
    """Append-only file of the answers of one model, one JSON line each; the first line is the model's identity."""

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        self.path = path
        self.identity = dict(identity)

    def read(self) -> list[Answer]:
        """Return the answers recorded so far; a last line cut off by a kill or a full disk is dropped.

        Raises ConfigurationChanged if the journal was begun under another configuration, OutcomesError if a whole line
        is not an answer.
        """
        if not self.path.exists():
            return []
        with self.path.open("rb") as stream:
            whole = stream.read()
        # Only lines that end in a line break were written in full.
        lines = whole[: whole.rfind(b"\n") + 1].splitlines()
        os.truncate(self.path, whole.rfind(b"\n") + 1)
        if not lines:
            return []
        try:
            identity, answers = dict(json.loads(lines[0])), [_answer(json.loads(line)) for line in lines[1:]]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise OutcomesError(
                f"{self.path}: not a journal of answers ({error}); restore it, or move it away to ask its tasks again"
            ) from error
        if changed := identity_differences(identity, self.identity):
            raise ConfigurationChanged(f"{self.path}: {'; '.join(changed)}; restore that, or move this file away")
        return answers

    def append(self, answers: Iterable[Answer]) -> None:
        """Append answers; return once they are synced to disk."""
        lines = [json.dumps(asdict(answer), ensure_ascii=False) for answer in answers]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.path.open("ab") as stream:
                if stream.tell() == 0:
                    lines.insert(0, json.dumps(self.identity))
                stream.write("".join(f"{line}\n" for line in lines).encode())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise OSError(
                f"{self.path} cannot be written ({error.strerror}); fix that and run the same command again: "
                "earlier answers are kept"
            ) from error

    def remove(self) -> None:
        """Delete the journal, once its answers are in the table."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Shard:
    """Shard `number` of `count`, counted from 1."""

    number: int
    count: int

    def select(self, tasks: Sequence[Task]) -> list[Task]:
        """Return every `count`-th task, so that shards are similar in difficulty."""
        return list(tasks[self.number - 1 :: self.count])

    def folder(self, outcomes: Path) -> Path:
        """Return the folder of the shard's outcomes."""
        return outcomes / "shards" / f"{self.number}-of-{self.count}"


def parse_shard(text: str) -> Shard:
    """Parse a shard such as `3/16`. Raises ValueError if it is not one."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"shard={text}: allowed is number/count, such as 1/16 to 16/16")
    return Shard(int(found[1]), int(found[2]))


def merge_shards(tasks: Sequence[Task], count: int, outcomes: Path, model: str) -> int:
    """Write the table that collecting all `tasks` at once would have written, and return its number of rows.

    Raises OutcomesError for a missing shard, ConfigurationChanged if shards come from different models or settings,
    ValueError if they do not cover the tasks.
    """
    shards = [read_recorded(Shard(number, count).folder(outcomes), model) for number in range(1, count + 1)]
    identity = recorded_identity(shards[0][1])
    checksums: dict[str, str] = {}
    for number, (frame, metadata) in enumerate(shards, start=1):
        if changed := identity_differences(identity, recorded_identity(metadata)):
            raise ConfigurationChanged(f"shard {number}/{count} of {model}: {'; '.join(changed)}; collect it again")
        checksums |= dict(zip(frame["task_id"], recorded_checksums(metadata), strict=True))
    if missing := [task.task_id for task in tasks if task.task_id not in checksums]:
        raise ValueError(f"the shards of {model} lack {len(missing)} tasks, first {missing[0]!r}; collect them again")
    wanted = [task.task_id for task in tasks]
    whole = pd.concat([frame for frame, _ in shards]).set_index("task_id").loc[wanted].reset_index()
    described = table_metadata(identity, [checksums[task_id] for task_id in wanted], recorded_provenance(shards[0][1]))
    write_outcomes(whole, outcomes, model, metadata=described)
    return len(whole)


def _replacement_path(path: Path) -> Path:
    return path.with_suffix(".parquet.partial")


def _verified(folder: Path, model: str) -> pd.DataFrame:
    path = outcomes_path(folder, model)
    if not path.exists():
        raise OutcomesError(
            f"{path}: {model} has not answered this suite; run `python -m experiments.collect {_collect_words(folder)}`"
        )
    if not is_listed(path):
        raise OutcomesError(
            f"{path} is not the file that {folder / _MANIFEST} lists; restore both from version control, "
            f"or remove it and run `python -m experiments.collect {_collect_words(folder)} model={model}`"
        )
    return tables.read(path, tables.OUTCOMES)


def _collect_words(folder: Path) -> str:
    """Return the words of the command line that collect a folder: those of its suite, or of its shard."""
    if folder.parent.name == "shards":
        return f"inference=live suite={folder.parent.parent.name} shard={folder.name.replace('-of-', '/')}"
    return f"inference=live suite={folder.name}"


def _answer(line: dict) -> Answer:
    completion = line.pop("completion")
    return Answer(completion=None if completion is None else Completion(**completion), **line)
