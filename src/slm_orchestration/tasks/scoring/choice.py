"""Multiple choice. The reference is the right label."""

from __future__ import annotations

import re

from slm_orchestration.tasks.scoring.extraction import final_answer
from slm_orchestration.tasks.task import Task


def score(task: Task, answer: str) -> float:
    """Return 1 if the final answer is the right label or starts with it ("B", "(B)", "B. because ...")."""
    choices = task.choices or []
    # The longest label is tried first, so that "No" does not match an answer "None".
    labels = "|".join(re.escape(label) for label in sorted(choices, key=len, reverse=True))
    pattern = rf"\W*(?:option\s+|choice\s+)?\(?({labels})(?!\w)"
    found = re.match(pattern, final_answer(answer), re.IGNORECASE) if labels else None
    return float(found is not None and found.group(1).casefold() == task.reference.casefold())
