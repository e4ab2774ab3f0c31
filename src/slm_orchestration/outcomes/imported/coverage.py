"""Which tasks every model answered, with a cost and a prompt, and which models to leave out for more tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.outcomes.imported.files import ImportedError

_PROPOSED = 3  # proposals of models to leave out


def answered_by_all(
    rows: pd.DataFrame, models: Sequence[str], path: Path, *, drop: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of tasks that every model answered, and remarks. Raises ImportedError if `drop` is False and
    some task lacks an answer, with the models to leave out for more tasks."""
    answered = rows.groupby("task_id", sort=False)["model"].transform("size") == len(models)
    if answered.all():
        return rows, []
    kept, tasks = rows.loc[answered, "task_id"].nunique(), rows["task_id"].nunique()
    counts = rows.groupby("model")["task_id"].nunique()
    fewest = str(counts.idxmin())
    lacking = sorted(set(rows["task_id"]) - set(rows.loc[rows["model"] == fewest, "task_id"]))
    missing = f"{fewest!r} has no row for {len(lacking):,} of {tasks:,} tasks, first {lacking[0]!r}"
    offers = well_covered(rows, models)
    proposal = "".join(f"; without {', '.join(left_out)} it is {count:,} tasks" for left_out, count in offers)
    if not drop:
        raise ImportedError(
            f"{path}: models answered different tasks: {missing}; add the rows, choose models=[...], or set "
            f"unanswered=drop to use only the {kept:,} tasks that all {len(models)} models answered{proposal}"
        )
    if not kept:
        raise ImportedError(f"{path}: no task was answered by all {len(models)} models; choose models=[...]{proposal}")
    said = f"{tasks - kept:,} of {tasks:,} tasks dropped, as not every model answered them ({missing}{proposal})"
    return rows[answered], [said]


def well_covered(rows: pd.DataFrame, models: Sequence[str]) -> list[tuple[list[str], int]]:
    """Return which models to leave out, and how many tasks all others answered, the fewest models first.

    Models are left out one at a time, each the one whose absence keeps most tasks; a proposal keeps at least two models
    and a tenth more tasks than the one before it.
    """
    answered = _answered(rows, models)
    left, out = list(range(len(models))), list[str]()
    proposals: list[tuple[list[str], int]] = []
    before = int(answered.all(axis=1).sum())
    while len(left) > 2 and len(proposals) < _PROPOSED:
        lacking = ~answered[:, left]
        only = lacking[lacking.sum(axis=1) == 1]  # tasks that one model alone did not answer
        worst = int((only.sum(axis=0) + 1e-9 * lacking.sum(axis=0)).argmax())
        if not lacking[:, worst].any():
            break
        out.append(models[left.pop(worst)])
        count = int(answered[:, left].all(axis=1).sum())
        if count > 1.1 * before:
            proposals.append((sorted(out), count))
            before = count
    return proposals


def with_costs(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of tasks whose cost is known of every model, and a remark.

    All rows are returned where a model has no costs at all.
    """
    known = rows["cost_usd"].notna()
    if known.all() or not known.groupby(rows["model"]).any().all():
        return rows, []
    return _kept(rows, known.groupby(rows["task_id"]).transform("all"), "the cost of some model is missing")


def with_prompts(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of tasks that have a prompt, and a remark; all rows where none has."""
    known = rows["prompt"].notna()
    if known.all() or not known.any():
        return rows, []
    return _kept(rows, known, "they have no prompt")


def _kept(rows: pd.DataFrame, keep: pd.Series, reason: str) -> tuple[pd.DataFrame, list[str]]:
    tasks, kept = rows["task_id"].nunique(), rows.loc[keep, "task_id"].nunique()
    if not kept:
        return rows, []
    return rows[keep], [f"{tasks - kept:,} of {tasks:,} tasks dropped, as {reason}"]


def _answered(rows: pd.DataFrame, models: Sequence[str]) -> NDArray[np.bool_]:
    """Return tasks × models: whether the model answered the task."""
    task, names = pd.factorize(rows["task_id"])
    answered = np.zeros((len(names), len(models)), dtype=bool)
    answered[task, pd.Index(models).get_indexer(pd.Index(rows["model"]))] = True
    return answered
