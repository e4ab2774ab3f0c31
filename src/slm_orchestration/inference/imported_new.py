"""Further tasks of a pool that was imported before: with graded answers, or only their prompts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from slm_orchestration.inference.imported import RECORDED, Imported, Selection, outcomes_of, rows_of
from slm_orchestration.inference.imported_rows import ImportedError, clean, complete, read_file
from slm_orchestration.inference.imported_tasks import tasks_of


def read_new(path: Path, known: Imported, selection: Selection) -> Imported:
    """Return new tasks of the pool of `known`; without outcomes (no rows) where the file has no models or no quality.

    Raises ImportedError where it has neither prompts nor outcomes, or lacks a model of the pool.
    """
    if path.is_file() and not _answered(columns := set(map(str, read_file(path))), selection):
        if "task_id" not in columns or not columns & {"prompt", "question"}:
            raise ImportedError(f"{path}: new data needs task_id and prompt, or also model and quality")
        asked = read_file(path).drop_duplicates("task_id")
        rows, _ = clean(asked.assign(model="none", quality=0.0), path)
        return replace(known, tasks=tasks_of(rows, path)[0], outcomes=known.outcomes.iloc[:0], remarks=())
    rows, _ = rows_of(path, selection)
    if missing := [name for name in known.models if name not in set(rows["model"])]:
        raise ImportedError(f"{path}: has no outcomes of {missing[0]!r}, a model of the pool")
    rows = rows[rows["model"].isin(known.models)].reset_index(drop=True)
    rows, remarks = complete(rows, known.models, path, drop=selection.unanswered == "drop")
    tasks, _ = tasks_of(rows, path)
    return replace(known, tasks=tasks, outcomes=outcomes_of(rows, tasks), remarks=tuple(remarks))


def _answered(columns: set[str], selection: Selection) -> bool:
    graded = "quality" in columns or selection.quality != RECORDED
    return ("model" in columns and graded) or "sample_id" in columns
