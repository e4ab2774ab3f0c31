"""Build a suite: read datasets, drop duplicates, assign groups and splits, judge datasets on a pilot, select tasks.

Splits and selections follow from hashes of groups and task ids alone, so they are the same on every machine, and a
smaller suite is part of a larger one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import pandas as pd

from slm_orchestration.statistics.intervals import wilson
from slm_orchestration.tasks.dataset import Dataset, DraftTask, RefusedRow, read_dataset
from slm_orchestration.tasks.duplicates import assign_groups, drop_duplicates
from slm_orchestration.tasks.scoring import scorer_module
from slm_orchestration.tasks.task import SPLITS, Task

Key = tuple[str, str]  # domain and name of a dataset
Datasets = Mapping[Key, Dataset]

PILOT_SHARE = 0.05
SHARES = {"fit": 0.3, "calibration": 0.2, "evaluation": 0.5}  # of the tasks that are not pilot tasks

PILOT_COLUMNS = ("domain", "dataset", "tasks", "quality", "low", "high", "baseline", "verdict", "wanted")
ABOVE, UNDECIDED, REJECTED = "above", "undecided", "rejected"
_LEVEL = 0.95
_CHARACTERS_PER_TOKEN = 4  # of English text, roughly: the true number depends on the tokenizer


@dataclass(frozen=True)
class Corpus:
    """Every task of the datasets with its group and split, and the rows and tasks that were left out."""

    tasks: list[Task]
    refused: dict[Key, list[RefusedRow]]
    repeated: list[str]
    contradictory: list[str]
    near_duplicates: int


@dataclass(frozen=True)
class Suite:
    """How tasks are selected; None for `tasks_per_domain` or `longest` (characters of a prompt) sets no limit.

    `first_size` tasks per domain come from the core datasets. With `every_choice` the suite holds all choice tasks, of
    any length, beside the tasks that are selected without it. Datasets that the pilot table at the path `selected_by`
    rejects are left out. With `pilot_per_dataset` the suite holds only pilot tasks: that many per dataset, or the
    number wanted by that table. `checksum` is that of the tasks for which outcomes were recorded, if any.
    """

    name: str
    tasks_per_domain: int | None
    first_size: int
    longest: int | None
    checksum: str | None = None
    selected_by: str | None = None
    pilot_per_dataset: int | None = None
    every_choice: bool = False


@dataclass(frozen=True)
class DomainPlan:
    """The number of tasks that a suite takes from one domain (None: all), and its core and generated datasets."""

    size: int | None
    first_size: int
    core: frozenset[str] = frozenset()
    generated: frozenset[str] = frozenset()


def build_suite(datasets: Datasets, suite: Suite, pilot_table: pd.DataFrame | None) -> list[Task]:
    """Return the tasks of `suite`, read from `datasets` as `read_corpus` and selected as `suite_tasks` describe."""
    return suite_tasks(read_corpus(datasets, skip_invalid=False), datasets, suite, pilot_table)


def read_corpus(datasets: Datasets, *, skip_invalid: bool, progress: Callable[[Iterable], Iterable] = iter) -> Corpus:
    """Read all datasets, drop duplicates, and assign every task its group and split.

    `progress` wraps the loop over the datasets, for a progress bar. Raises ValueError for a dataset that refuses
    another number of rows than its configuration expects, unless `skip_invalid`, or whose tasks cannot be graded.
    """
    drafts: list[DraftTask] = []
    refused: dict[Key, list[RefusedRow]] = {}
    for key in progress(list(datasets)):
        scorer = scorer_module(getattr(datasets[key].form, "scorer", "choice"))
        items = list(read_dataset(key[0], key[1], datasets[key]))
        readable = [item for item in items if isinstance(item, DraftTask)]
        if readable and hasattr(scorer, "require_gradable"):
            scorer.require_gradable(readable[0].task)
        drafts += readable
        refused[key] = [item for item in items if isinstance(item, RefusedRow)]
        if not skip_invalid:
            _check_refusals(key[1], refused[key], datasets[key].refused)
    kept, repeated, contradictory = drop_duplicates(drafts)
    groups, near_duplicates = assign_groups(kept, {key for key, dataset in datasets.items() if dataset.templated})
    tasks = [replace(draft.task, group=group, split=split_of(group)) for draft, group in zip(kept, groups, strict=True)]
    return Corpus(tasks, refused, repeated, contradictory, near_duplicates)


def suite_tasks(corpus: Corpus, datasets: Datasets, suite: Suite, pilot_table: pd.DataFrame | None) -> list[Task]:
    """Return the tasks of a suite, domain after domain in the order of `datasets`.

    `pilot_table` is the table of `judge_datasets`, or None before a pilot. Rejected datasets are left out only here:
    groups and splits are those of all datasets, so that no pilot task moves to a split that results are reported on.
    """
    wanted = {} if pilot_table is None else tasks_to_ask(pilot_table)
    is_pilot = suite.pilot_per_dataset is not None
    left_out = frozenset() if pilot_table is None or is_pilot else rejected_datasets(pilot_table)
    tasks: list[Task] = []
    for domain in dict.fromkeys(domain for domain, _ in datasets):
        in_domain = {name: dataset for (where, name), dataset in datasets.items() if where == domain}
        of_any_length = [t for t in corpus.tasks if t.domain == domain and (domain, t.dataset) not in left_out]
        members = [task for task in of_any_length if suite.longest is None or _characters(task) <= suite.longest]
        if suite.pilot_per_dataset is None:
            selected = select_tasks(members, _domain_plan(suite, in_domain))
            tasks += _with_every_choice(selected, of_any_length) if suite.every_choice else selected
        else:
            sizes = {name: wanted.get((domain, name), suite.pilot_per_dataset) for name in in_domain}
            tasks += pilot_tasks(members, sizes)
    return tasks


def split_of(group: str) -> str:
    """Return the split of a group: pilot with probability 0.05, else fit, calibration or evaluation as 3 : 2 : 5."""
    draw = int.from_bytes(hashlib.sha256(f"split|{group}".encode()).digest()[:8], "big") / 2**64
    if draw < PILOT_SHARE:
        return "pilot"
    position, end = (draw - PILOT_SHARE) / (1 - PILOT_SHARE), 0.0
    for split, share in SHARES.items():
        end += share
        if position < end:
            return split
    return "evaluation"


def select_tasks(tasks: Sequence[Task], plan: DomainPlan) -> list[Task]:
    """Return the tasks of one domain that a suite holds, sorted by id: all but pilot tasks if the plan sets no size.

    Each split gets its share of the suite. Within a split, the core datasets fill their share of `first_size`, then all
    datasets take turns, so that suites nest and no large dataset crowds out a small one. Generated tasks fill at most
    half of a split, unless the domain has no others. Within a dataset, tasks are ordered by a hash of their id. A split
    with too few tasks stays short.
    """
    selected: list[Task] = []
    for split, share in SHARES.items():
        members = [task for task in tasks if task.split == split]
        size = len(members) if plan.size is None else round(share * plan.size)
        core = _in_turns([task for task in members if task.dataset in plan.core])[: round(share * plan.first_size)]
        core_ids = {task.task_id for task in core}
        rest = _in_turns([task for task in members if task.task_id not in core_ids])
        generated = _count(members, plan.generated)
        limit = size // 2 if plan.size is not None else (len(members) - generated or generated)
        selected += (core + _limited(rest, plan.generated, limit - _count(core, plan.generated)))[:size]
    return sorted(selected, key=lambda task: task.task_id)


def pilot_tasks(tasks: Sequence[Task], sizes: Mapping[str, int]) -> list[Task]:
    """Return the first pilot tasks of each dataset of one domain, `sizes` of them by dataset, sorted by id.

    Tasks are ordered by a hash of their id, so that a smaller pilot is part of a larger one.
    """
    datasets: dict[str, list[Task]] = {}
    for task in sorted((task for task in tasks if task.split == "pilot"), key=_rank):
        datasets.setdefault(task.dataset, []).append(task)
    selected = [task for name, members in datasets.items() for task in members[: sizes[name]]]
    return sorted(selected, key=lambda task: task.task_id)


def judge_datasets(
    tasks: Sequence[Task], quality: Mapping[str, float], baselines: Mapping[Key, float], *, margin: float, most: int
) -> pd.DataFrame:
    """Return the pilot table: per dataset of the pilot `tasks` the answered tasks, mean quality, interval and verdict.

    `quality` holds graded answers by task id, `baselines` those of `trivial_baselines`. The verdict is "above" if
    Wilson's 95 % interval lies above the baseline, "rejected" if it ends less than `margin` above it, else "undecided":
    too few tasks to tell, and the dataset stays. `wanted` is the number of pilot tasks to ask in all: `most` for an
    undecided dataset that would be rejected if all further answers were wrong, else the number answered so far. The
    second round chooses datasets only; it is no result.
    """
    rows = []
    for key, members in _by_dataset(tasks).items():
        grades = [quality[task.task_id] for task in members if task.task_id in quality]
        if not grades:
            continue
        mean, baseline = sum(grades) / len(grades), baselines[key]
        low, high = wilson(mean, len(grades), level=_LEVEL)
        verdict = _verdict(low, high, baseline, margin)
        lowest_high = wilson(sum(grades) / most, most, level=_LEVEL)[1] if len(grades) < most else high
        ask_more = verdict == UNDECIDED and lowest_high < baseline + margin
        rows.append((*key, len(grades), mean, low, high, baseline, verdict, most if ask_more else len(grades)))
    return pd.DataFrame(rows, columns=list(PILOT_COLUMNS))


def trivial_baselines(tasks: Iterable[Task]) -> dict[Key, float]:
    """Return the quality that needs no model, by domain and dataset: the larger of chance and the majority class.

    Chance is one over the number of options. The majority class counts with the lower end of Wilson's 95 % interval of
    its share, because a few shuffled options are never quite balanced, and only if at least two tasks share it.
    References of pilot and fit tasks are counted.
    """
    known = _by_dataset(task for task in tasks if task.split in ("pilot", "fit"))
    return {key: _trivial_baseline(members) for key, members in known.items()}


def tasks_to_ask(pilot_table: pd.DataFrame) -> dict[Key, int]:
    """Return the number of pilot tasks to ask of each dataset, by domain and name."""
    columns = (pilot_table[name].tolist() for name in ("domain", "dataset", "wanted"))
    return {(domain, dataset): count for domain, dataset, count in zip(*columns, strict=True)}


def rejected_datasets(pilot_table: pd.DataFrame) -> frozenset[Key]:
    """Return domain and name of the datasets that the pilot rejects."""
    rejected = pilot_table[pilot_table["verdict"] == REJECTED]
    return frozenset(zip(rejected["domain"], rejected["dataset"], strict=True))


def overview(corpus: Corpus, datasets: Datasets, tasks: Iterable[Task]) -> pd.DataFrame:
    """Return one row per dataset: `tasks` by split, their mean prompt tokens, and what was refused or dropped."""
    tasks = list(tasks)
    by_split = Counter((task.domain, task.dataset, task.split) for task in tasks)
    characters = Counter[tuple[str, str]]()
    for task in tasks:
        characters[task.domain, task.dataset] += _characters(task)
    repeated = Counter(tuple(task_id.split("/")[:2]) for task_id in corpus.repeated)
    contradictory = Counter(tuple(task_id.split("/")[:2]) for task_id in corpus.contradictory)
    rows = []
    for key, dataset in datasets.items():
        splits = {split: by_split[*key, split] for split in SPLITS}
        count = sum(splits.values())
        tokens = round(characters[key] / count / _CHARACTERS_PER_TOKEN) if count else 0
        dropped = {
            "refused": len(corpus.refused[key]), "repeated": repeated[key], "contradictory": contradictory[key],
        }  # fmt: skip
        row = {"domain": key[0], "dataset": key[1], "tasks": count, **splits, "tokens": tokens, **dropped}
        rows.append({**row, "generated": dataset.generated})
    return pd.DataFrame(rows)


def groups_in_several_splits(tasks: Iterable[Task]) -> list[str]:
    """Return the groups with tasks in more than one split; a correct suite has none."""
    splits: dict[str, set[str]] = {}
    for task in tasks:
        splits.setdefault(task.group, set()).add(task.split)
    return sorted(group for group, found in splits.items() if len(found) > 1)


def _check_refusals(name: str, refused: list[RefusedRow], expected: int) -> None:
    if len(refused) == expected:
        return
    first = f"; first {refused[0].where}: {refused[0].reason}" if refused else ""
    raise ValueError(
        f"dataset {name}: {len(refused)} rows are refused, {expected} are expected{first}. "
        f"Correct the rows, set refused: {len(refused)}, or pass skip_invalid=true"
    )


def _domain_plan(suite: Suite, datasets: Mapping[str, Dataset]) -> DomainPlan:
    return DomainPlan(
        size=suite.tasks_per_domain,
        first_size=suite.first_size,
        core=frozenset(name for name, dataset in datasets.items() if dataset.core),
        generated=frozenset(name for name, dataset in datasets.items() if dataset.generated),
    )


def _with_every_choice(selected: Sequence[Task], tasks: Sequence[Task]) -> list[Task]:
    choices = [task for task in tasks if task.choices is not None and task.split in SHARES]
    return sorted({task.task_id: task for task in [*selected, *choices]}.values(), key=lambda task: task.task_id)


def _characters(task: Task) -> int:
    return sum(len(message["content"]) for message in task.messages)


def _in_turns(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks with datasets alternating, each dataset in the order of `_rank`."""
    datasets: dict[str, list[Task]] = {}
    for task in sorted(tasks, key=_rank):
        datasets.setdefault(task.dataset, []).append(task)
    rounds = zip_longest(*(datasets[name] for name in sorted(datasets)))
    return [task for turn in rounds for task in turn if task is not None]


def _rank(task: Task) -> str:
    return hashlib.sha256(f"suite|{task.task_id}".encode()).hexdigest()


def _limited(ordered: Sequence[Task], generated: frozenset[str], limit: int) -> list[Task]:
    """Return the tasks in their order, with only the first `limit` generated ones."""
    kept: list[Task] = []
    for task in ordered:
        limit -= task.dataset in generated
        if limit >= 0 or task.dataset not in generated:
            kept.append(task)
    return kept


def _count(tasks: Sequence[Task], generated: frozenset[str]) -> int:
    return sum(task.dataset in generated for task in tasks)


def _verdict(low: float, high: float, baseline: float, margin: float) -> str:
    if low > baseline:
        return ABOVE
    return REJECTED if high < baseline + margin else UNDECIDED


def _by_dataset(tasks: Iterable[Task]) -> dict[Key, list[Task]]:
    datasets: dict[Key, list[Task]] = {}
    for task in tasks:
        datasets.setdefault((task.domain, task.dataset), []).append(task)
    return datasets


def _trivial_baseline(tasks: Sequence[Task]) -> float:
    chance = sum(1 / len(task.choices) for task in tasks if task.choices is not None) / len(tasks)
    commonest = Counter(task.reference for task in tasks).most_common(1)[0][1]
    majority = wilson(commonest / len(tasks), len(tasks), level=_LEVEL)[0] if commonest > 1 else 0.0
    return max(chance, majority)
