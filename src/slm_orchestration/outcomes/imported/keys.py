"""The key of a row is its dataset, task, model and trial; trials of one key are averaged into one answer."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from slm_orchestration.outcomes.imported.columns import AMOUNTS
from slm_orchestration.outcomes.imported.rows import refuse

_ANSWER = ["dataset", "task_id", "model"]
_AVERAGED = ["quality", "confidence", "guess_quality", *AMOUNTS]


def check_repeats(rows: pd.DataFrame, path: Path, *, average: bool) -> None:
    """Raise ImportedError naming the first row that repeats the dataset, task, model and trial of an earlier one.

    With `average`, such rows are trials.
    """
    if average:
        return
    repeated = rows.duplicated([*_ANSWER, "repeat"])
    what = "task and model" if rows["repeat"].isna().all() else "task, model and trial"
    reason = f"repeats the {what} of an earlier row; keep one, number trials in a column repeat, or set repeats=average"
    refuse(repeated, path, reason)


def average_trials(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per dataset, task and model, and a remark on how many trials were averaged and how they vary.

    Quality, confidence, tokens, dollars and seconds are means over trials; a text is that of the first trial.
    """
    repeated = rows.duplicated(_ANSWER, keep=False).to_numpy()
    if not repeated.any():
        return rows, []
    of_one = rows[repeated].groupby(_ANSWER, dropna=False, sort=False)
    trials = of_one["quality"].agg(["size", "var"])
    first = rows.drop_duplicates(_ANSWER)
    means = of_one[_AVERAGED].mean()
    place = means.index.get_indexer(pd.MultiIndex.from_frame(first[_ANSWER]))
    averaged = first.assign(**{name: first[name].where(place < 0, means[name].to_numpy()[place]) for name in _AVERAGED})
    low, high = (1 if len(trials) < len(first) else int(trials["size"].min())), int(trials["size"].max())
    spread = float(trials["var"].mean() ** 0.5)
    counted = f"{high} trials" if low == high else f"{low} to {high} trials"
    return averaged, [
        f"{counted} of each task and model are averaged; quality has a standard deviation of {spread:.2f} between the "
        "trials of one task and model"
    ]


def unique_ids(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with ids that differ between datasets: where datasets share an id, dataset/task for all tasks."""
    pairs = rows[["task_id", "dataset"]].drop_duplicates()
    shared = int(pairs["task_id"].duplicated().sum())
    if not shared:
        return rows, []
    named = rows["dataset"].fillna("").astype(str) + "/" + rows["task_id"].astype(str)
    return rows.assign(task_id=named.astype(object)), [
        f"{shared} ids occur in several datasets, so that a task is named by both, as in {named.iloc[0]!r}"
    ]
