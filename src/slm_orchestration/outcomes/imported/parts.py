"""The files of an import as parts with named columns: files of outcomes side by side, and files that describe them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from slm_orchestration.outcomes.imported import layouts
from slm_orchestration.outcomes.imported.columns import (
    AUTO,
    KEY,
    Naming,
    check_named,
    named,
    quality_columns,
    suggestions,
)
from slm_orchestration.outcomes.imported.files import READABLE, ImportedError, read_file
from slm_orchestration.outcomes.imported.rows import refuse, texts


@dataclass(frozen=True)
class Part:
    """The rows of one file, named as in COLUMNS and indexed by their position in it; `raw` has the file's columns."""

    path: Path
    rows: pd.DataFrame
    raw: pd.DataFrame

    def check_columns(self) -> None:
        """Raise ImportedError, with what the columns may be, if the rows are no outcomes."""
        check_named(self.rows, self.raw, self.path)


def parts_of(path: Path, naming: Naming, models: Sequence[str] | None) -> tuple[list[Part], list[str]]:
    """Return the parts of a file, a folder or a clone of RouteLLM, and remarks. Raises ImportedError.

    In a folder, files with quality are put below each other; if none of them names its model, each is one model, called
    as the file. Files without quality describe tasks, or a task and model, and are joined by what they share of
    dataset, task_id, model and repeat.
    """
    if not path.exists():
        raise ImportedError(f"{path}: no such file or folder")
    if path.is_file():
        part, remarks = _named(path, read_file(path), naming, models)
        return [part], remarks
    if evals := layouts.routellm_folder(path):
        raw, remarks = layouts.read_routellm(evals)
        return [_named(evals, raw, naming, models)[0]], remarks
    files = sorted(file for file in path.iterdir() if file.name.lower().endswith(READABLE))
    if not files:
        raise ImportedError(f"{path}: holds neither RouteLLM's evaluation files nor files of {', '.join(READABLE)}")
    found = [_named(file, read_file(file), naming, models) for file in files]
    remarks = sorted({remark for _, said in found for remark in said})
    parts, joined = _joined([part for part, _ in found])
    return parts, [*remarks, *joined]


def _named(path: Path, raw: pd.DataFrame, naming: Naming, models: Sequence[str] | None) -> tuple[Part, list[str]]:
    if raw.empty:
        raise ImportedError(f"{path}: holds no rows")
    raw, remarks = _long(raw, naming, models)
    rows, said = named(raw, path, naming)
    return Part(path, rows, raw), [*remarks, *said]


def _long(raw: pd.DataFrame, naming: Naming, models: Sequence[str] | None) -> tuple[pd.DataFrame, list[str]]:
    """Return a table with a row per task and model, whatever its layout, and remarks."""
    if layouts.is_routerbench(raw):
        return layouts.read_routerbench(raw), []
    if layouts.is_wide(raw, models):
        return layouts.read_wide(raw, models or ()), []
    if naming.columns == AUTO and models is None and not {"model", "quality"} & {*map(str, raw), *suggestions(raw)}:
        wide = quality_columns(raw)
        if len(wide) > 1:
            return layouts.read_wide(raw, wide), [f"columns=auto: a column of quality per model, {', '.join(wide)}"]
    return raw, []


def _joined(parts: list[Part]) -> tuple[list[Part], list[str]]:
    outcomes = [part for part in parts if "quality" in part.rows]
    describing = [part for part in parts if "quality" not in part.rows]
    if not outcomes or (not describing and all("model" in part.rows for part in outcomes)):
        return outcomes or describing, []
    remarks = []
    if not any("model" in part.rows for part in outcomes):
        outcomes = [replace(part, rows=part.rows.assign(model=part.path.name.split(".")[0])) for part in outcomes]
        remarks.append("each file is one model, called as the file")
    for part in describing:
        outcomes = [replace(one, rows=_with_described(one, part)) for one in outcomes]
        remarks.append(
            f"{', '.join(sorted({str(name) for name in part.rows} - set(KEY)))} joined from {part.path.name}"
        )
    return outcomes, remarks


def _with_described(outcomes: Part, part: Part) -> pd.DataFrame:
    """Return the rows of outcomes with the columns of `part` that they lack, matched by what both have of KEY."""
    rows, keys = outcomes.rows, [name for name in KEY if name in part.rows and name in outcomes.rows]
    if "task_id" not in keys:
        check_named(part.rows, part.raw, part.path, ("task_id",))
        outcomes.check_columns()
    known, wanted = ({name: texts(table[name], name) for name in keys} for table in (part.rows, rows))
    index = pd.MultiIndex.from_frame(pd.DataFrame(known))
    refuse(
        pd.Series(index.duplicated(), part.rows.index), part.path, f"repeats the {' and '.join(keys)} of an earlier row"
    )
    place = index.get_indexer(pd.MultiIndex.from_frame(pd.DataFrame(wanted)))
    if (place < 0).all():
        raise ImportedError(f"{part.path}: no row has the {' and '.join(keys)} of a row of {outcomes.path.name}")
    added = {}
    for name in part.rows.columns.difference(list(KEY)):
        described = pd.Series(part.rows[name].to_numpy(dtype=object)[place], rows.index).where(place >= 0, None)
        added[name] = rows[name].astype(object).where(rows[name].notna(), described) if name in rows else described
    return rows.assign(**added)
