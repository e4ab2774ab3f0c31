"""Recorded samples in the order of tasks, as routers read them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slm_orchestration.routing.outcome_matrix import Recorded
from slm_orchestration.routing.reads import PAID
from slm_orchestration.routing.router import NotRecorded


def recorded_samples(table: pd.DataFrame, task_ids: pd.Series, model: str, count: int) -> Recorded:
    """Return the first `count` answers of each task in SAMPLES, and what they took together; choices have none.

    Raises NotRecorded where a task has fewer.
    """
    first = table.sort_values(["task_id", "repeat"]).groupby("task_id").head(count).groupby("task_id")
    drawn = first[list(PAID)].sum().assign(answers=first["answer"].agg(list))
    short = drawn.index[drawn["answers"].map(len) < count]
    if len(short):
        raise NotRecorded(f"{model} has fewer than {count} samples of {len(short)} tasks, first {short[0]!r}")
    mine = drawn.reindex(task_ids)
    values = np.empty(len(mine), dtype=object)
    for row, given in enumerate(mine["answers"]):
        values[row] = given if isinstance(given, list) else []
    return Recorded(values, *mine[list(PAID)].fillna(0.0).to_numpy(float).T)
