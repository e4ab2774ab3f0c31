"""Which split a task is in, and which tasks make up a suite: both follow from hashes alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Plan:
    """How many tasks a suite takes of a domain (None: all), which datasets come first, and which are generated."""

    size: int | None
    first_size: int
    first: frozenset[str] = frozenset()
    generated: frozenset[str] = frozenset()


def select(tasks: Sequence[Task], plan: Plan) -> list[Task]:
    """Return the tasks of one domain that a suite holds, sorted by id; all but pilot tasks if the plan sets no size.

    Each split has its share of the suite. The datasets named in `first` fill the first `first_size` places, then all
    datasets take turns, so that suites nest and small datasets are not crowded out; generated tasks take no further
    place once they are half of a split, unless there are no others. Within a dataset the order is that of a hash of the
    task id. A split with too few tasks is short.
    """
    chosen: list[Task] = []
    for split, share in SHARES.items():
        members = [task for task in tasks if task.split == split]
        size = len(members) if plan.size is None else round(share * plan.size)
        core = _in_turns([task for task in members if task.dataset in plan.first])[: round(share * plan.first_size)]
        known = {task.task_id for task in core}
        rest = _in_turns([task for task in members if task.task_id not in known])
        made = _count(members, plan.generated)
        most = size // 2 if plan.size is not None else (len(members) - made or made)
        chosen += (core + _half(rest, plan.generated, most - _count(core, plan.generated)))[:size]
    return sorted(chosen, key=lambda task: task.task_id)


def pilot(tasks: Sequence[Task], sizes: Mapping[str, int]) -> list[Task]:
    """Return the first pilot tasks of each dataset of one domain, as many as `sizes` says, sorted by id.

    Which come first is decided by a hash, so that a smaller pilot is part of a larger one.
    """
    datasets: dict[str, list[Task]] = {}
    for task in sorted((task for task in tasks if task.split == "pilot"), key=_rank):
        datasets.setdefault(task.dataset, []).append(task)
    chosen = [task for name, members in datasets.items() for task in members[: sizes[name]]]
    return sorted(chosen, key=lambda task: task.task_id)


def _half(ordered: Sequence[Task], generated: frozenset[str], most: int) -> list[Task]:
    kept: list[Task] = []
    for task in ordered:
        most -= task.dataset in generated
        if most >= 0 or task.dataset not in generated:
            kept.append(task)
    return kept


def _count(tasks: Sequence[Task], generated: frozenset[str]) -> int:
    return sum(task.dataset in generated for task in tasks)


def _in_turns(tasks: Sequence[Task]) -> list[Task]:
    datasets: dict[str, list[Task]] = {}
    for task in sorted(tasks, key=_rank):
        datasets.setdefault(task.dataset, []).append(task)
    rounds = zip_longest(*(datasets[name] for name in sorted(datasets)))
    return [task for turn in rounds for task in turn if task is not None]


def _rank(task: Task) -> str:
    return hashlib.sha256(f"suite|{task.task_id}".encode()).hexdigest()
