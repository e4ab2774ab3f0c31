"""The guess: the best answer that needs no model, a reference of zero cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task


def guess_quality(tasks: Sequence[Task]) -> NDArray[np.float64]:
    """Return the graded quality of the guess, one value per task.

    A multiple-choice task is answered with the majority label of the fit tasks with the same labels (in a tie, or
    without such tasks, the first label); any other task with the empty answer.
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
    frequency = counts.get(tuple(labels), Counter())
    return max(labels, key=lambda label: (frequency[label], -labels.index(label)))
