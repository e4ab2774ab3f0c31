"""Grading: one module per scorer, named as the scorer is, each with `score(task, answer) -> float` in [0, 1]."""

from __future__ import annotations

import importlib
import pkgutil

from slm_orchestration.tasks.task import Task

# No right answer is anywhere near as long; scorers need not cope with more.
LONGEST_ANSWER = 50_000


def score(task: Task, answer: str) -> float:
    """Return the quality of `answer`, in [0, 1]; an answer beyond 50,000 characters is wrong.

    `task.scorer` names a module of this package, or any importable module by its dotted path.
    """
    if len(answer) > LONGEST_ANSWER:
        return 0.0
    name = task.scorer if "." in task.scorer else f"{__name__}.{task.scorer}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        known = ", ".join(sorted(found.name for found in pkgutil.iter_modules(__path__)))
        raise ValueError(
            f"{task.task_id}: no scorer {task.scorer!r}; there are {known}, or give a dotted path"
        ) from None
    quality = float(module.score(task, answer))
    if not 0 <= quality <= 1:
        raise ValueError(f"{task.task_id}: scorer {task.scorer!r} returned {quality}, which is not in [0, 1]")
    return quality
