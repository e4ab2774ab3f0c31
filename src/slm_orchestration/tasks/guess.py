"""The zero-cost answer: what one would say without calling a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task


def guess_quality(tasks: Sequence[Task]) -> NDArray[np.float64]:
    """Return the graded quality of a guess per task.

    Choice tasks are answered with the label that is right most often among fit tasks with the same labels (the first
    such label in a tie, the first label where there are no such tasks); others with the empty answer.
    """
    counts: dict[tuple[str, ...], Counter[str]] = {}
    for task in tasks:
        if task.choices is not None and task.split == "fit":
            counts.setdefault(tuple(task.choices), Counter())[task.reference] += 1
    return np.array([score(task, _guess(task, counts)) for task in tasks])


def _guess(task: Task, counts: dict[tuple[str, ...], Counter[str]]) -> str:
    labels = task.choices
    if labels is None:
        return ""
    seen = counts.get(tuple(labels), Counter())
    return max(labels, key=lambda label: (seen[label], -labels.index(label)))
