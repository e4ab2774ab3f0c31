"""Scorers, one module each: the function `score(task, answer)` of the module grades an answer in [0, 1].

A module may also define `require_gradable(task)`, which raises ValueError before any model answers. Every scorer ends
within seconds on any answer of up to 50,000 characters: by limits of length, depth and steps, which give the same
quality on every machine, or in a process with a time limit (`unit_tests`, `verifier`).
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from slm_orchestration.tasks.task import Task

# Characters; no right answer comes near this, so scorers need not handle more.
LONGEST_ANSWER = 50_000
_NO_SCORERS = ("extraction", "verifier_process")


def score(task: Task, answer: str) -> float:
    """Return the quality of `answer`, in [0, 1]; an answer of more than 50,000 characters is wrong.

    `task.scorer` names a module of this package, or any importable module by its dotted path. Raises ValueError for an
    unknown scorer, or one that returns a quality outside [0, 1].
    """
    if len(answer) > LONGEST_ANSWER:
        return 0.0
    quality = float(scorer_module(task.scorer).score(task, answer))
    if not 0 <= quality <= 1:
        raise ValueError(f"{task.task_id}: scorer {task.scorer!r} returned {quality}, which is not in [0, 1]")
    return quality


def scorer_module(scorer: str) -> ModuleType:
    """Return the module of a scorer. Raises ValueError, with the known scorers, for an unknown one."""
    name = scorer if "." in scorer else f"{__name__}.{scorer}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        module = None
    if not hasattr(module, "score"):
        known = [found.name for found in pkgutil.iter_modules(__path__) if found.name not in _NO_SCORERS]
        raise ValueError(f"no scorer {scorer!r}; known are {', '.join(sorted(known))}, or a dotted path")
    assert module is not None
    return module
