"""Which split a task is in, and which tasks make up a suite: both follow from hashes alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import zip_longest

from slm_orchestration.tasks.task import Task

PILOT_SHARE = 0.05
SHARES = {"fit": 0.3, "calibration": 0.2, "evaluation": 0.5}


def split_of(group: str) -> str:
    """Return the split of a group: pilot for one in twenty, else fit, calibration or evaluation as 3 : 2 : 5."""
    draw = int.from_bytes(hashlib.sha256(f"split|{group}".encode()).digest()[:8], "big") / 2**64
    if draw < PILOT_SHARE:
        return "pilot"
    place, end = (draw - PILOT_SHARE) / (1 - PILOT_SHARE), 0.0
    for split, share in SHARES.items():
        end += share
        if place < end:
            return split
    return "evaluation"


def select(tasks: Sequence[Task], *, size: int | None, first: Sequence[str], first_size: int) -> list[Task]:
    """Return the tasks of one domain that a suite of `size` tasks holds, sorted by id; all but pilot tasks for None.

    Each split has its share of the suite. The datasets named in `first` fill the first `first_size` places, then all
    datasets take turns, so that suites nest and small datasets are not crowded out. Within a dataset the order is that
    of a hash of the task id. A split with too few tasks is short.
    """
    if size is None:
        return sorted((task for task in tasks if task.split != "pilot"), key=lambda task: task.task_id)
    chosen: list[Task] = []
    for split, share in SHARES.items():
        members = [task for task in tasks if task.split == split]
        core = _in_turns([task for task in members if task.dataset in first])[: round(share * first_size)]
        known = {task.task_id for task in core}
        rest = _in_turns([task for task in members if task.task_id not in known])
        chosen += (core + rest)[: round(share * size)]
    return sorted(chosen, key=lambda task: task.task_id)


def _in_turns(tasks: Sequence[Task]) -> list[Task]:
    datasets: dict[str, list[Task]] = {}
    for task in sorted(tasks, key=_rank):
        datasets.setdefault(task.dataset, []).append(task)
    rounds = zip_longest(*(datasets[name] for name in sorted(datasets)))
    return [task for turn in rounds for task in turn if task is not None]


def _rank(task: Task) -> str:
    return hashlib.sha256(f"suite|{task.task_id}".encode()).hexdigest()
