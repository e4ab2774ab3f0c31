"""From datasets to a suite: read, drop duplicates, group, split, select; with counts of all that was dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from slm_orchestration.tasks.dataset import Dataset, Drafted, Refused, read
from slm_orchestration.tasks.duplicates import groups, without_duplicates
from slm_orchestration.tasks.pilot import rejected, wanted
from slm_orchestration.tasks.scoring import scorer_module
from slm_orchestration.tasks.splits import Plan, pilot, select, split_of
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
