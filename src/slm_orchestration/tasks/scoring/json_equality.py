"""Equality of JSON values. The reference is JSON."""

from __future__ import annotations

import json
from typing import Any

from slm_orchestration.tasks.scoring.extraction import json_value
from slm_orchestration.tasks.task import Task


def score(task: Task, answer: str) -> float:
    """Return 1 if the answer's JSON equals the reference, in any order of keys; 1 equals 1.0 but not true or "1"."""
    try:
        return float(_equal(json_value(answer), json.loads(task.reference)))
    except (ValueError, RecursionError):
        return 0.0


def _equal(given: Any, expected: Any) -> bool:
    if isinstance(given, dict) and isinstance(expected, dict):
        return given.keys() == expected.keys() and all(_equal(given[key], expected[key]) for key in expected)
    if isinstance(given, list) and isinstance(expected, list):
        return len(given) == len(expected) and all(map(_equal, given, expected))
    if isinstance(given, bool) or isinstance(expected, bool):
        return given is expected
    return bool(given == expected)
