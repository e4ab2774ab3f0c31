"""F1 of words, as defined for SQuAD (Rajpurkar et al. 2016). The reference is a JSON list of accepted answers."""

from __future__ import annotations

import json
import re
from collections import Counter

from slm_orchestration.tasks.scoring.extraction import final_answer
from slm_orchestration.tasks.task import Task


def score(task: Task, answer: str) -> float:
    """Return the largest F1 of words, without articles and punctuation, against any accepted answer."""
    given = _words(final_answer(answer))
    return max((_f1(given, _words(accepted)) for accepted in json.loads(task.reference)), default=0.0)


def _words(text: str) -> Counter[str]:
    return Counter(word for word in re.findall(r"\w+", text.casefold()) if word not in ("a", "an", "the"))


def _f1(given: Counter[str], accepted: Counter[str]) -> float:
    if not given and not accepted:
        return 1.0
    return 2 * (given & accepted).total() / (given.total() + accepted.total())
