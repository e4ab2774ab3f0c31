"""Grading: one module per scorer, named as the scorer is, each with `score(task, answer) -> float` in [0, 1]."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from slm_orchestration.tasks.task import Task

# No right answer is anywhere near as long; scorers need not cope with more.
LONGEST_ANSWER = 50_000
_NO_SCORERS = ("extraction", "normalised", "python_calls")


def score(task: Task, answer: str) -> float:
    """Return the quality of `answer`, in [0, 1]; an answer beyond 50,000 characters is wrong.

    `task.scorer` names a module of this package, or any importable module by its dotted path.
    """
    if len(answer) > LONGEST_ANSWER:
        return 0.0
    quality = float(scorer_module(task.scorer).score(task, answer))
    if not 0 <= quality <= 1:
        raise ValueError(f"{task.task_id}: scorer {task.scorer!r} returned {quality}, which is not in [0, 1]")
    return quality


def scorer_module(scorer: str) -> ModuleType:
    """Return the module that grades; ValueError names the ones there are."""
    name = scorer if "." in scorer else f"{__name__}.{scorer}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        module = None
    if not hasattr(module, "score"):
        # Only modules with a function `score` are scorers; the others here serve them.
        known = [found.name for found in pkgutil.iter_modules(__path__) if found.name not in _NO_SCORERS]
        raise ValueError(f"no scorer {scorer!r}; there are {', '.join(sorted(known))}, or give a dotted path")
    assert module is not None
    return module
