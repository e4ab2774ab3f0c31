"""Rows of the Berkeley Function Calling Leaderboard: questions, the functions on offer and the accepted calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from slm_orchestration.artifacts import Wheel
from slm_orchestration.tasks.sources.row import Row, RowError
from slm_orchestration.tasks.sources.wheels import member_lines, parsed


@dataclass(frozen=True)
class BfclLines:
    """One category, such as "simple_python". Fields: `question`, `functions` (JSON lines as shown to the model) and
    `expected` (JSON with the functions and the accepted calls; no calls where none is expected).
    """

    wheel: Wheel
    category: str
    calls_expected: bool = True

    def rows(self) -> Iterator[Row]:
        name = f"BFCL_v4_{self.category}.json"
        answers: dict[str, Any] = {}
        if self.calls_expected:
            for where, line in member_lines(self.wheel, [f"bfcl_eval/data/possible_answer/{name}"]):
                answer = parsed(line, where)
                answers[answer["id"]] = answer["ground_truth"]
        for number, (where, line) in enumerate(member_lines(self.wheel, [f"bfcl_eval/data/{name}"])):
            yield Row(number, where, _fields(parsed(line, where), answers, where, calls_expected=self.calls_expected))


def _fields(row: dict[str, Any], answers: dict[str, Any], where: str, *, calls_expected: bool) -> dict[str, Any]:
    turns = row["question"]
    if len(turns) != 1:
        raise RowError(f"{where}: a conversation of {len(turns)} turns")
    if calls_expected and row["id"] not in answers:
        raise RowError(f"{where}: no accepted answer for {row['id']!r}")
    said = "\n".join(message["content"] for message in turns[0])
    expected = {"functions": row["function"], "calls": answers.get(row["id"], [])}
    return {
        "question": said,
        "functions": "\n".join(_shown(function) for function in row["function"]),
        "expected": json.dumps(expected, sort_keys=True, ensure_ascii=False),
    }


def _shown(function: dict[str, Any]) -> str:
    return json.dumps(function, ensure_ascii=False, separators=(",", ":"))
