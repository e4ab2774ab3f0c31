"""F1 of items, in any order. The reference is a JSON list; items may repeat."""

from __future__ import annotations

import json
import re
from collections import Counter

from slm_orchestration.tasks.scoring.extraction import bracketed, normalised
from slm_orchestration.tasks.task import Task


def score(task: Task, answer: str) -> float:
    """Return the F1 of the answer's items against those of the reference, as multisets; 1 if both are empty."""
    expected = Counter(normalised_item(str(item)) for item in json.loads(task.reference))
    given = Counter(answer_items(answer))
    if not expected and not given:
        return 1.0
    shared = (expected & given).total()
    return 2 * shared / (expected.total() + given.total())


def answer_items(answer: str) -> list[str]:
    """Return the normalised items of an answer: its bracketed text, split at commas, semicolons and line ends."""
    found = (normalised_item(item) for item in re.split(r"[,;\n]", bracketed(answer)))
    return [item for item in found if item]


def normalised_item(item: str) -> str:
    """Return one normalised item, without bullets and brackets around it."""
    return normalised(item.strip(" \t*•[](){}").removeprefix("- "))
