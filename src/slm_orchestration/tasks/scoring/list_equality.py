"""Equality of lists, in order. The reference is a JSON list."""

from __future__ import annotations

import json

from slm_orchestration.tasks.scoring.set_f1 import answer_items, normalised_item
from slm_orchestration.tasks.task import Task


def score(task: Task, answer: str) -> float:
    """Return 1 if the answer lists exactly the reference's items, in their order."""
    return float(answer_items(answer) == [normalised_item(str(item)) for item in json.loads(task.reference)])
