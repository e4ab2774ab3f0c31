"""Rows of the Berkeley Function Calling Leaderboard: questions, offered functions and accepted calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from slm_orchestration.artifacts import Wheel
from slm_orchestration.tasks.sources.row import Row, RowError
from slm_orchestration.tasks.sources.wheels import member_lines, parse_object


@dataclass(frozen=True)
class BfclLines:
    """One category of the leaderboard, such as "simple_python".

    Fields: `question`, `functions` (JSON lines, as shown to the model) and `expected` (JSON with the functions and the
    accepted calls; empty calls in a category where none is expected).
    """

    wheel: Wheel
    category: str
    calls_expected: bool = True

    def rows(self) -> Iterator[Row]:
        name = f"BFCL_v4_{self.category}.json"
        answers: dict[str, Any] = {}
        if self.calls_expected:
            for where, line in member_lines(self.wheel, [f"bfcl_eval/data/possible_answer/{name}"]):
                answer = parse_object(line, where)
                answers[answer["id"]] = answer["ground_truth"]
        for number, (where, line) in enumerate(member_lines(self.wheel, [f"bfcl_eval/data/{name}"])):
            row = parse_object(line, where)
            try:
                yield Row(number, where, _fields(row, answers[row["id"]] if self.calls_expected else []))
            except RowError as error:
                yield Row(number, where, error=error)
            except KeyError as error:
                yield Row(number, where, error=RowError(f"no {error} in the row or the accepted answers"))


def _fields(row: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    turns = row["question"]
    if len(turns) != 1:
        raise RowError(f"a conversation of {len(turns)} turns")
    offered = {function["name"]: function for function in row["function"]}
    for call in calls:
        for name, accepted in call.items():
            _check_answerable(offered, name, accepted)
    question = "\n".join(message["content"] for message in turns[0])
    expected = {"functions": row["function"], "calls": calls}
    return {
        "question": question,
        "functions": "\n".join(_compact_json(function) for function in row["function"]),
        "expected": json.dumps(expected, sort_keys=True, ensure_ascii=False),
    }


def _compact_json(function: dict[str, Any]) -> str:
    return json.dumps(function, ensure_ascii=False, separators=(",", ":"))


def _check_answerable(offered: dict[str, Any], name: str, accepted: dict[str, list[Any]]) -> None:
    """Raise RowError if no call can satisfy both the function's description and the accepted values."""
    if name not in offered:
        raise RowError(f"the expected function {name!r} is not offered")
    parameters = offered[name]["parameters"]
    for parameter in parameters.get("required", []):
        if not any(value != "" for value in accepted.get(parameter, [])):
            raise RowError(f"the required parameter {parameter!r} of {name!r} has no accepted value")
    for parameter, values in accepted.items():
        if not values:
            raise RowError(f"the parameter {parameter!r} of {name!r} has no accepted value")
        if parameter not in parameters["properties"] and "" not in values:
            raise RowError(f"the expected parameter {parameter!r} of {name!r} is not in its description")
