"""From datasets to a suite: read, drop duplicates, group, split, select; with counts of all that was dropped."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import pandas as pd

from slm_orchestration.statistics.intervals import wilson
from slm_orchestration.tasks.dataset import Dataset, Drafted, Refused, read
from slm_orchestration.tasks.duplicates import groups, without_duplicates
from slm_orchestration.tasks.scoring import scorer_module
from slm_orchestration.tasks.task import SPLITS, Task

Datasets = Mapping[tuple[str, str], Dataset]
_CHARACTERS_PER_TOKEN = 4  # of English; the true number depends on the model's tokenizer


@dataclass(frozen=True)
class Collection:
    """Every task of the datasets, split and grouped, and what is not among them."""

    tasks: list[Task]
    refused: dict[tuple[str, str], list[Refused]]
    repeated: list[str]
    contradictory: list[str]
    near_duplicates: int


@dataclass(frozen=True)
class Suite:
    """How a selection is made; None for `tasks_per_domain` or `longest` sets no bound.

    Datasets that the table at `selected_by` rejects are left out. With `pilot_per_dataset` it is up to so many pilot
    tasks of every dataset, or as many as that table wants, and no others. `checksum` is that of the tasks that outcomes
    were recorded for, where there are any.
    """

    name: str
    tasks_per_domain: int | None
    first_size: int
    longest: int | None
    checksum: str | None = None
    selected_by: str | None = None
    pilot_per_dataset: int | None = None


def collect(datasets: Datasets, *, skip_invalid: bool, watched: Callable[[Iterable], Iterable] = iter) -> Collection:
    """Read all datasets. Raises ValueError at a dataset with other refusals than are known, unless they are skipped.

    `watched` wraps the loop over the datasets, for a progress bar.
    """
    drafts: list[Drafted] = []
    refused: dict[tuple[str, str], list[Refused]] = {}
    for key in watched(list(datasets)):
        scorer_module(getattr(datasets[key].form, "scorer", "choice"))
        items = list(read(key[0], key[1], datasets[key]))
        drafts += [item for item in items if isinstance(item, Drafted)]
        refused[key] = [item for item in items if isinstance(item, Refused)]
        if not skip_invalid:
            _check_refusals(key[1], refused[key], datasets[key].refused)
    stay, repeated, contradictory = without_duplicates(drafts)
    names, joined = groups(stay, {key for key, dataset in datasets.items() if dataset.templated})
    tasks = [replace(draft.task, group=name, split=split_of(name)) for draft, name in zip(stay, names, strict=True)]
    return Collection(tasks, refused, repeated, contradictory, joined)


def chosen(collection: Collection, datasets: Datasets, suite: Suite, judged: pd.DataFrame | None) -> list[Task]:
    """Return the tasks of a suite, domain after domain in the order of `datasets`.

    `judged` is the table of `pilot.judged`, None where no pilot was asked. What it rejects is left out only here:
    groups and splits are those of all datasets, so that no pilot task becomes one that results are reported on.
    """
    asked = {} if judged is None else wanted(judged)
    left_out = frozenset() if judged is None or suite.pilot_per_dataset is not None else rejected(judged)
    tasks: list[Task] = []
    for domain in dict.fromkeys(domain for domain, _ in datasets):
        mine = {name: dataset for (where, name), dataset in datasets.items() if where == domain}
        plan = Plan(
            size=suite.tasks_per_domain,
            first_size=suite.first_size,
            first=frozenset(name for name, dataset in mine.items() if dataset.core),
            generated=frozenset(name for name, dataset in mine.items() if dataset.generated),
        )
        members = [
            task for task in collection.tasks if task.domain == domain and (domain, task.dataset) not in left_out
        ]
        if suite.longest is not None:
            members = [task for task in members if _characters(task) <= suite.longest]
        if suite.pilot_per_dataset is None:
            tasks += select(members, plan)
        else:
            tasks += pilot(members, {name: asked.get((domain, name), suite.pilot_per_dataset) for name in mine})
    return tasks


def overview(collection: Collection, datasets: Datasets, tasks: Iterable[Task]) -> pd.DataFrame:
    """Return one row per dataset: tasks by split, tokens, and what was refused or removed as a duplicate."""
    tasks = list(tasks)
    by_split = Counter((task.domain, task.dataset, task.split) for task in tasks)
    characters = Counter[tuple[str, str]]()
    for task in tasks:
        characters[task.domain, task.dataset] += _characters(task)
    dropped = Counter(tuple(task_id.split("/")[:2]) for task_id in collection.repeated)
    clashing = Counter(tuple(task_id.split("/")[:2]) for task_id in collection.contradictory)
    rows = []
    for key, dataset in datasets.items():
        splits = {split: by_split[*key, split] for split in SPLITS}
        count = sum(splits.values())
        mean_tokens = round(characters[key] / count / _CHARACTERS_PER_TOKEN) if count else 0
        removed = {"refused": len(collection.refused[key]), "repeated": dropped[key], "contradictory": clashing[key]}
        row = {"domain": key[0], "dataset": key[1], "tasks": count, **splits, "tokens": mean_tokens, **removed}
        rows.append({**row, "generated": dataset.generated})
    return pd.DataFrame(rows)


def shared_groups(tasks: Iterable[Task]) -> list[str]:
    """Return the groups that are in more than one split; there must be none."""
    splits: dict[str, set[str]] = {}
    for task in tasks:
        splits.setdefault(task.group, set()).add(task.split)
    return sorted(group for group, found in splits.items() if len(found) > 1)


def _check_refusals(name: str, refused: list[Refused], known: int) -> None:
    if len(refused) == known:
        return
    first = f"; first {refused[0].where}: {refused[0].reason}" if refused else ""
    raise ValueError(
        f"dataset {name}: {len(refused)} rows are no tasks, {known} are known{first}. "
        f"Mend the rows, set refused: {len(refused)}, or pass skip_invalid=true"
    )


def _characters(task: Task) -> int:
    return sum(len(message["content"]) for message in task.messages)


# ========== Which split a task is in, and which tasks make up a suite: both follow from hashes alone.
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


# ========== Which datasets stay: what the largest model makes of their pilot tasks, beside what needs no model.
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
