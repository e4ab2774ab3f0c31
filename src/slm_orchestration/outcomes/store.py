"""Recorded outcomes on disk: one parquet table per model, and a manifest that knows their checksums."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from slm_orchestration import tables
from slm_orchestration.artifacts import sha256, write_text
from slm_orchestration.models.model import Completion
from slm_orchestration.tasks.task import Task

_MANIFEST = "manifest.json"
# In a manifest, while a table is being replaced: the sha256 of the one that comes.
_REPLACEMENT = "replaced_by_sha256"
_IDENTITY, _CHECKSUMS, _PROVENANCE = "identity", "task_checksums", "provenance"


class OutcomesError(ValueError):
    """Recorded outcomes are missing or are not the ones that were recorded; the message says which and how to mend."""


def outcomes_path(folder: Path, model: str) -> Path:
    """Return where the outcomes of one model lie."""
    return folder / f"{model}.parquet"


def journal_path(folder: Path, model: str) -> Path:
    """Return where answers lie until their table is complete."""
    return folder / f"{model}.journal.partial"


def read_outcomes(folder: Path, models: Sequence[str]) -> pd.DataFrame:
    """Return the OUTCOMES of `models`, one after the other, after checking them against the manifest.

    Raises OutcomesError if a table is missing, unlisted or changed since it was recorded.
    """
    return pd.concat([_verified(folder, model) for model in models], ignore_index=True)


def write_outcomes(frame: pd.DataFrame, folder: Path, model: str, *, metadata: Mapping[str, str]) -> None:
    """Write the OUTCOMES of one model, and enter them into the manifest.

    The manifest first names what is about to replace the table, so that it is right whenever this is interrupted.
    """
    path = outcomes_path(folder, model)
    new = path.with_suffix(".parquet.partial")
    tables.write(frame, tables.OUTCOMES, new, metadata=dict(metadata))
    entry = {
        "sha256": sha256(new),
        "rows": len(frame),
        "failed": int(frame["quality"].isna().sum()),
        "task_checksums_sha256": hashlib.sha256(metadata[_CHECKSUMS].encode()).hexdigest(),
        **json.loads(metadata[_IDENTITY]),
        **({_PROVENANCE: json.loads(metadata[_PROVENANCE])} if _PROVENANCE in metadata else {}),
    }
    before = _manifest(folder)
    _write_manifest(folder, {**before, model: {**before.get(model, {}), _REPLACEMENT: entry["sha256"]}})
    new.replace(path)
    _write_manifest(folder, {**before, model: entry})


def rewrite_outcomes(frame: pd.DataFrame, folder: Path, model: str) -> None:
    """Replace the OUTCOMES of one model by rows of the same answers, graded or priced anew."""
    before, metadata = recorded(folder, model)
    marks = dict(zip(before["task_id"], recorded_checksums(metadata), strict=True))
    described = describe(recorded_identity(metadata), [marks[task_id] for task_id in frame["task_id"]])
    provenance = {_PROVENANCE: metadata[_PROVENANCE]} if _PROVENANCE in metadata else {}
    write_outcomes(frame, folder, model, metadata={**described, **provenance})


def describe(
    identity: Mapping[str, str], checksums: Sequence[str], provenance: Mapping[str, object] | None = None
) -> dict[str, str]:
    """Return the metadata that says which model answered, what each row's task looked like to it, and how it was run.

    `provenance` is of the run that wrote the table; rows that it found recorded may come from another machine.
    """
    described = {_IDENTITY: json.dumps(dict(identity), sort_keys=True), _CHECKSUMS: " ".join(checksums)}
    return described | ({_PROVENANCE: json.dumps(dict(provenance), sort_keys=True)} if provenance else {})


def recorded(folder: Path, model: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the checked table of one model and its metadata. Raises OutcomesError if there is none."""
    return _verified(folder, model), tables.read_metadata(outcomes_path(folder, model))


def recorded_identity(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the identity of the model that a table was recorded from."""
    return json.loads(metadata[_IDENTITY])


def recorded_provenance(metadata: Mapping[str, str]) -> dict[str, object]:
    """Return how the run went that wrote a table; empty if that was not recorded."""
    return json.loads(metadata.get(_PROVENANCE, "{}"))


def recorded_checksums(metadata: Mapping[str, str]) -> list[str]:
    """Return the checksum of each row's task as its model saw it, in the order of the rows."""
    return metadata[_CHECKSUMS].split()


def _verified(folder: Path, model: str) -> pd.DataFrame:
    path = outcomes_path(folder, model)
    if not path.exists():
        raise OutcomesError(
            f"{path}: {model} has not answered this suite; run `python -m experiments.collect {_asked(folder)}`"
        )
    entry = _manifest(folder).get(model)
    if entry is None or sha256(path) not in (entry.get("sha256"), entry.get(_REPLACEMENT)):
        raise OutcomesError(
            f"{path} is not the file that {folder / _MANIFEST} lists; restore both from version control, "
            f"or remove it and run `python -m experiments.collect {_asked(folder)} model={model}`"
        )
    return tables.read(path, tables.OUTCOMES)


def _asked(folder: Path) -> str:
    """Return what asks for the outcomes in a folder: that of a suite, or of one of its shards."""
    if folder.parent.name == "shards":
        return f"suite={folder.parent.parent.name} shard={folder.name.replace('-of-', '/')}"
    return f"suite={folder.name}"


def _write_manifest(folder: Path, entries: Mapping[str, object]) -> None:
    write_text(folder / _MANIFEST, json.dumps(dict(entries), indent=2, sort_keys=True) + "\n")


def _manifest(folder: Path) -> dict[str, dict]:
    path = folder / _MANIFEST
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


# ========== Answers on disk as they are given: an append-only file that a killed process leaves readable.
class ConfigurationChanged(ValueError):
    """Answers were recorded under another configuration; the message names what differs. Nothing is lost."""


@dataclass(frozen=True)
class Answer:
    """One completion, or the reason why there is none, and the checksum of what the model was shown."""

    task_id: str
    checksum: str
    completion: Completion | None
    error: str | None = None


def checksum(task: Task) -> str:
    """Return what an answer is recorded under: it changes with what the model is shown, and with nothing else."""
    shown = json.dumps([task.messages, task.choices, task.max_tokens], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def differences(recorded: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """Return one phrase for each part of a model's identity that is not as it was recorded."""
    names = sorted(recorded.keys() | present.keys())
    return [
        f"{name} was {recorded.get(name)!r} and is {present.get(name)!r}"
        for name in names
        if recorded.get(name) != present.get(name)
    ]


class Journal:
    """The answers of one model, one JSON line each; the first line says which configuration they come from."""

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        self.path = path
        self.identity = dict(identity)

    def read(self) -> list[Answer]:
        """Return the answers recorded so far; a last line torn by a kill or a full disk is dropped.

        Raises ConfigurationChanged if the journal was begun under another configuration.
        """
        if not self.path.exists():
            return []
        with self.path.open("rb") as stream:
            whole = stream.read()
        # Only what ends in a line break was written in full.
        lines = whole[: whole.rfind(b"\n") + 1].splitlines()
        os.truncate(self.path, whole.rfind(b"\n") + 1)
        if not lines:
            return []
        if changed := differences(json.loads(lines[0]), self.identity):
            raise ConfigurationChanged(f"{self.path}: {'; '.join(changed)}; restore that, or move this file away")
        return [_answer(json.loads(line)) for line in lines[1:]]

    def append(self, answers: Iterable[Answer]) -> None:
        """Write answers and return once they are on the disk."""
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
                f"{self.path} cannot be written to ({error.strerror}); mend that and run the same command again: "
                "the answers before are kept"
            ) from error

    def remove(self) -> None:
        """Remove the journal, once its answers lie in the table."""
        self.path.unlink(missing_ok=True)


def _answer(line: dict) -> Answer:
    completion = line.pop("completion")
    return Answer(completion=None if completion is None else Completion(**completion), **line)


# ========== Parts of a suite that are collected apart, on one machine or many, and joined into the table of the whole.
@dataclass(frozen=True)
class Shard:
    """The `number`-th of `count` parts, counted from 1."""

    number: int
    count: int

    def of(self, tasks: Sequence[Task]) -> list[Task]:
        """Return every `count`-th task, so that all parts are of like difficulty."""
        return list(tasks[self.number - 1 :: self.count])

    def folder(self, outcomes: Path) -> Path:
        """Return where the part's outcomes lie."""
        return outcomes / "shards" / f"{self.number}-of-{self.count}"


def parsed(text: str) -> Shard:
    """Return the shard that `3/16` names. Raises ValueError if there is no such part."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"shard={text}: allowed is a part and how many there are, from 1/16 to 16/16 for sixteen")
    return Shard(int(found[1]), int(found[2]))


def merge(tasks: Sequence[Task], count: int, outcomes: Path, model: str) -> int:
    """Write the table that collecting all `tasks` at once would have written, and return its rows.

    Raises OutcomesError for a missing part, ConfigurationChanged if parts come from different models or settings,
    ValueError if they do not cover the tasks.
    """
    parts = [recorded(Shard(number, count).folder(outcomes), model) for number in range(1, count + 1)]
    identity = recorded_identity(parts[0][1])
    marks: dict[str, str] = {}
    for number, (frame, metadata) in enumerate(parts, start=1):
        if changed := differences(identity, recorded_identity(metadata)):
            raise ConfigurationChanged(f"shard {number}/{count} of {model}: {'; '.join(changed)}; collect it again")
        marks |= dict(zip(frame["task_id"], recorded_checksums(metadata), strict=True))
    if missing := [task.task_id for task in tasks if task.task_id not in marks]:
        raise ValueError(f"the shards of {model} lack {len(missing)} tasks, first {missing[0]!r}; collect them again")
    wanted = [task.task_id for task in tasks]
    whole = pd.concat([frame for frame, _ in parts]).set_index("task_id").loc[wanted].reset_index()
    described = describe(identity, [marks[task_id] for task_id in wanted], recorded_provenance(parts[0][1]))
    write_outcomes(whole, outcomes, model, metadata=described)
    return len(whole)
