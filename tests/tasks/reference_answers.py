"""Answers made from references, as a faultless model would give them, and answers that are near but wrong."""

import json
from typing import Any

from slm_orchestration.tasks.task import Task


def right_answer(task: Task) -> str:
    """Return an answer that the reference says is right."""
    if task.scorer in ("exact", "token_f1"):
        return f"Answer: {json.loads(task.reference)[0]}"
    if task.scorer in ("set_f1", "list_equality"):
        return f"[{', '.join(json.loads(task.reference))}]"
    if task.scorer == "verifier":
        return f"Answer: {json.loads(task.reference)['answer']}"
    if task.scorer == "function_call":
        reference = json.loads(task.reference)
        return calls_text(reference["calls"], reference["functions"])
    if task.scorer == "code_text":
        return f"```\n{task.reference}\n```"
    return task.reference


def calls_text(expected: list[dict[str, Any]], functions: list[dict[str, Any]]) -> str:
    """Return the calls as Python text, each parameter with the first value that is accepted, optional ones left out."""
    required = {function["name"]: function["parameters"].get("required", []) for function in functions}
    calls = (_call_text(name, accepted, required[name]) for call in expected for name, accepted in call.items())
    return f"[{', '.join(calls)}]"


def _call_text(name: str, accepted: dict[str, list[Any]], required: list[str]) -> str:
    given = {key: values for key, values in accepted.items() if key in required or "" not in values}
    first = {key: next(value for value in values if value != "") for key, values in given.items()}
    return f"{name}({', '.join(f'{key}={_value(value)!r}' for key, value in first.items())})"


def _value(value: Any) -> Any:
    # A dictionary lists the accepted values of each key, as parameters do; so do dictionaries in a list.
    if isinstance(value, dict):
        return {
            key: values[0] if isinstance(values, list) else values for key, values in value.items() if values[0] != ""
        }
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_value(element) for element in value]
    return value
