"""Which datasets stay: what the largest model makes of their pilot tasks, beside what needs no model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from slm_orchestration.statistics.intervals import wilson
from slm_orchestration.tasks.task import Task

COLUMNS = ("domain", "dataset", "tasks", "quality", "low", "high", "baseline", "verdict", "wanted")
SHOWN, OPEN, REJECTED = "above", "undecided", "rejected"
_LEVEL = 0.95
Key = tuple[str, str]


def judged(
    tasks: Sequence[Task], quality: Mapping[str, float], baselines: Mapping[Key, float], *, margin: float, most: int
) -> pd.DataFrame:
    """Return one row per dataset of the pilot `tasks`: answered tasks, mean `quality` (by task id) and its interval.

    `baselines` tells, by domain and dataset, what needs no model. The verdict is "above" if Wilson's 95 % interval lies
    above the baseline, "rejected" if it ends less than `margin` above it, else "undecided": too few tasks to tell, and
    luck is no reason to leave a set out.
    `wanted` is how many tasks to ask in all: `most` of an undecided set that would be rejected if all others were
    wrong, else as many as were answered: more cannot reject it. Two looks choose datasets; they are no result.
    """
    rows = []
    for key, members in _by_dataset(tasks).items():
        given = [quality[task.task_id] for task in members if task.task_id in quality]
        if not given:
            continue
        mean, baseline = sum(given) / len(given), baselines[key]
        low, high = wilson(mean, len(given), level=_LEVEL)
        verdict = _verdict(low, high, baseline, margin)
        lowest = wilson(sum(given) / most, most, level=_LEVEL)[1] if len(given) < most else high
        asked_on = verdict == OPEN and lowest < baseline + margin
        rows.append((*key, len(given), mean, low, high, baseline, verdict, most if asked_on else len(given)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def baselines(tasks: Iterable[Task]) -> dict[Key, float]:
    """Return what needs no model, by domain and dataset: the larger of chance and of always giving one answer.

    Chance is one over the number of options. Always giving the commonest reference is right at least as often as the
    lower end of Wilson's 95 % interval of its share says: a few shuffled options are never quite even. References of
    the pilot and fit tasks count, as the asked ones are too few. One that only one task has is no constant answer.
    """
    known = _by_dataset(task for task in tasks if task.split in ("pilot", "fit"))
    return {key: _baseline(members) for key, members in known.items()}


def wanted(table: pd.DataFrame) -> dict[Key, int]:
    """Return how many pilot tasks each dataset of a judged `table` should be asked, by domain and name."""
    columns = (table[name].tolist() for name in ("domain", "dataset", "wanted"))
    return {(domain, dataset): count for domain, dataset, count in zip(*columns, strict=True)}


def rejected(table: pd.DataFrame) -> frozenset[Key]:
    """Return domain and name of the datasets that a judged `table` rejects."""
    gone = table[table["verdict"] == REJECTED]
    return frozenset(zip(gone["domain"], gone["dataset"], strict=True))


def _verdict(low: float, high: float, baseline: float, margin: float) -> str:
    if low > baseline:
        return SHOWN
    return REJECTED if high < baseline + margin else OPEN


def _by_dataset(tasks: Iterable[Task]) -> dict[Key, list[Task]]:
    datasets: dict[Key, list[Task]] = {}
    for task in tasks:
        datasets.setdefault((task.domain, task.dataset), []).append(task)
    return datasets


def _baseline(tasks: Sequence[Task]) -> float:
    chance = sum(1 / len(task.choices) for task in tasks if task.choices is not None) / len(tasks)
    commonest = Counter(task.reference for task in tasks).most_common(1)[0][1]
    always_it = wilson(commonest / len(tasks), len(tasks), level=_LEVEL)[0] if commonest > 1 else 0.0
    return max(chance, always_it)
