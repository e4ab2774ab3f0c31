"""The tasks of imported outcomes: datasets, groups and splits, as far as a file tells them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from slm_orchestration.inference.imported_rows import ImportedError
from slm_orchestration.tasks.duplicates import groups_of_texts
from slm_orchestration.tasks.splits import split_of

# A group of near duplicates of more than this share of the tasks is a template with numbers filled in, not one task.
_TEMPLATE_SHARE, _TEMPLATE_TASKS = 0.02, 20


def tasks_of(rows: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return a row per task: task_id, domain, dataset, group, split, question, guess_quality; and remarks.

    A dataset that is not told is the domain's, a domain the dataset's, else both bear the file's name. Groups are those
    of the file, else near duplicates of the prompt, else the task's own. Splits are those of the file if they are this
    project's, else they follow from a hash of the group.
    """
    told = rows.drop_duplicates("task_id").sort_values("task_id", kind="stable").reset_index(drop=True)
    unnamed = path.name.split(".")[0]
    dataset = told["dataset"].where(told["dataset"].notna(), told["domain"])
    domain = told["domain"].where(told["domain"].notna(), told["dataset"])
    remarks = []
    groups = told["group"]
    if groups.isna().any():
        derived, template = _groups(told["task_id"].tolist(), told["prompt"].tolist())
        groups = groups.where(groups.notna(), pd.Series(derived, told.index))
        if template:
            remarks.append(
                f"{template} tasks follow templates (prompts alike but for a word or number): only those with the same "
                "prompt are kept in one split"
            )
    missing = int(told["prompt"].isna().sum())
    if missing:
        remarks.append(f"{'no' if missing == len(told) else f'{missing} of {len(told)} tasks lack their'} prompt")
    tasks = pd.DataFrame(
        {
            "task_id": told["task_id"],
            "domain": domain.where(domain.notna(), unnamed),
            "dataset": dataset.where(dataset.notna(), unnamed),
            "group": groups,
            "split": told["split"],
            "question": told["prompt"],
            "guess_quality": told["guess_quality"],
        }
    )
    return _split(tasks, path, remarks)


def _groups(task_ids: Sequence[str], prompts: Sequence[str | None]) -> tuple[list[str], int]:
    """Return a group per task, and how many tasks follow templates."""
    asked = [index for index, prompt in enumerate(prompts) if prompt is not None]
    texts = [str(prompts[index]) for index in asked]
    first = np.array(groups_of_texts(texts), dtype=int)
    sizes = np.bincount(first, minlength=len(texts)) if len(texts) else np.zeros(0, dtype=int)
    templated = (
        sizes[first] > max(_TEMPLATE_TASKS, _TEMPLATE_SHARE * len(task_ids)) if len(texts) else np.zeros(0, bool)
    )
    same: dict[str, int] = {}
    groups = list(task_ids)
    for place, index in enumerate(asked):
        alone = same.setdefault(" ".join(texts[place].split()), place)
        groups[index] = task_ids[asked[alone if templated[place] else int(first[place])]]
    distinct = len({groups[index] for place, index in enumerate(asked) if templated[place]})
    return groups, int(templated.sum()) if distinct > 1 else 0


def _split(tasks: pd.DataFrame, path: Path, remarks: list[str]) -> tuple[pd.DataFrame, list[str]]:
    if tasks["split"].notna().all():
        spread = tasks.groupby("group")["split"].nunique()
        if (spread > 1).any():
            raise ImportedError(
                f"{path}: column split puts the group of task {spread.idxmax()!r} into {spread.max()} splits; keep "
                "near duplicates together, or leave the column out"
            )
        return tasks, remarks
    if tasks["split"].notna().any():
        remarks.append("column split not used: some tasks have none")
    return tasks.assign(split=[split_of(str(group)) for group in tasks["group"]]), remarks
