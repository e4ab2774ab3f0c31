"""The same items in any order. The reference is a JSON list; items may repeat."""

from __future__ import annotations

import json
import re
from collections import Counter

from slm_orchestration.tasks.scoring.extraction import bracketed
from slm_orchestration.tasks.scoring.normalised import normalised
from slm_orchestration.tasks.task import Task


def score(task: Task, answer: str) -> float:
    """Return the F1 of the answer's items, as a multiset, against the reference's; both empty counts as 1."""
    expected = Counter(item_form(str(item)) for item in json.loads(task.reference))
    given = Counter(items(answer))
    if not expected and not given:
        return 1.0
    shared = (expected & given).total()
    return 2 * shared / (expected.total() + given.total())


def items(answer: str) -> list[str]:
    """Return the answer's items, normalised: what its brackets hold, cut at commas, semicolons and line ends."""
    found = (item_form(item) for item in re.split(r"[,;\n]", bracketed(answer)))
    return [item for item in found if item]


def item_form(item: str) -> str:
    """Return one item in normal form, without list marks and brackets around it."""
    return normalised(item.strip(" \t*•[](){}").removeprefix("- "))
