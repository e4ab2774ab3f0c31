"""One of several labels. The reference is the label."""

from __future__ import annotations

import re

from slm_orchestration.tasks.scoring.extraction import final_answer
from slm_orchestration.tasks.task import Task


def score(task: Task, answer: str) -> float:
    """Return 1 if the final answer is the right label or starts with it ("B", "(B)", "B. because ...")."""
    choices = task.choices or []
    # The longest label is tried first, so that "No" does not win where "None" is a label too.
    labels = "|".join(re.escape(label) for label in sorted(choices, key=len, reverse=True))
    found = (
        re.match(rf"\W*(?:option\s+|choice\s+)?\(?({labels})(?!\w)", final_answer(answer), re.IGNORECASE)
        if labels
        else None
    )
    return float(found is not None and found.group(1).casefold() == task.reference.casefold())
