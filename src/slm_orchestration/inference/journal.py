"""Answers on disk as they are given: an append-only file that a killed process leaves readable."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from slm_orchestration.models.model import Completion
from slm_orchestration.tasks.task import Task


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
