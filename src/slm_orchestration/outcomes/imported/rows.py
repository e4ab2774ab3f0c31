"""Rows of imported outcomes, one per task, model and trial: each cell checked, and null where the file has none.

Errors name the file, the row and the reason. Until they are checked, rows are indexed by their position in the file.
"""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from slm_orchestration.outcomes.imported.columns import (
    COLUMNS,
    REQUIRED,
    SHARES,
    TASK_COLUMNS,
    TEXTS,
    Naming,
    check_named,
    named,
)
from slm_orchestration.outcomes.imported.files import ImportedError, place

_VERBATIM = ("prompt", "output", "signals")  # other texts are stripped of white space
_TRUE_FALSE = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_NULLS = ("nan", "null", "none", "na", "<na>")
_TOKENS, _MOST_TOKENS = ("prompt_tokens", "completion_tokens"), 1e9
_GRADED = "quality is graded from 0 to 1, or true and false: divide percentages by 100"
_FAILED = "grade a wrong answer 0; for a call that failed, leave the row out and set unanswered=drop"


def check_rows(rows: pd.DataFrame, path: Path, naming: Naming | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of a file with exactly COLUMNS, null where it has no value, and remarks on what is not used.

    Raises ImportedError on a missing column, an empty file, and a value of the wrong type or out of its range.
    """
    if rows.empty:
        raise ImportedError(f"{path}: holds no rows")
    found, remarks = named(rows, path, naming)
    check_named(found, rows, path)
    return check_cells(found, path), remarks


def check_cells(rows: pd.DataFrame, path: Path, needed: tuple[str, ...] = REQUIRED) -> pd.DataFrame:
    """Return named rows with exactly COLUMNS; `needed` may hold no nulls. Raises ImportedError with file and row."""
    cleaned = pd.DataFrame(index=rows.index)
    for name in COLUMNS:
        if name not in rows:
            empty, kind = (None, object) if name in TEXTS else (np.nan, float)
            cleaned[name] = pd.Series(empty, rows.index, dtype=kind)
        else:
            cleaned[name] = texts(rows[name], name) if name in TEXTS else numbers(rows[name], name, path)
    for name in needed:
        refuse(cleaned[name].isna(), path, f"{name} is missing" + (f"; {_FAILED}" if name == "quality" else ""))
    wrong = cleaned["signals"].map(_is_signals, na_action="ignore") == False  # noqa: E712 (a missing cell is not wrong)
    refuse(wrong, path, "signals must be JSON, names with numbers", cleaned["signals"])
    return cleaned


def check_tasks(rows: pd.DataFrame, path: Path) -> list[str]:
    """Return a remark on tasks whose prompt differs between models; the first prompt is used.

    Raises ImportedError if two rows of one task differ in domain, group, split or guess_quality.
    """
    first = rows.drop_duplicates("task_id").set_index("task_id")
    reworded = 0
    place_of_first = first.index.get_indexer(pd.Index(rows["task_id"]))
    for name in (*TASK_COLUMNS, "guess_quality"):
        if rows[name].isna().all():
            continue
        expected = first[name].to_numpy()[place_of_first]
        known = ~(rows[name].isna().to_numpy() | pd.isna(expected))
        if name == "prompt":  # a prompt that some rows lack is that of the others
            reworded = int(rows.loc[(rows[name].to_numpy() != expected) & known, "task_id"].nunique())
            continue
        differs = (rows[name].to_numpy() != expected) & ~(rows[name].isna().to_numpy() & pd.isna(expected))
        refuse(pd.Series(differs, rows.index), path, f"gives another {name} than an earlier row of the same task")
    return [f"{reworded} tasks have prompts that differ between models: routers read the first"] if reworded else []


def texts(values: pd.Series, name: str) -> pd.Series:
    """Return cells as text, null where there is none."""
    cells = values.astype(object)
    known: dict[object, str | None] = {}  # equal cells become one text
    return cells.map(lambda cell: _text(cell, name, known)).astype(object)


def numbers(values: pd.Series, name: str, path: Path) -> pd.Series:
    """Return cells as numbers, nan where there is none. Raises ImportedError on what is no such number."""
    if pd.api.types.is_timedelta64_dtype(values) and name == "latency_s":
        values = values.dt.total_seconds()
    hint = f"; {_GRADED}" if name == "quality" else ""
    if pd.api.types.is_numeric_dtype(values) and (name in SHARES or not pd.api.types.is_bool_dtype(values)):
        found = values.astype(float)
    else:
        in_words = values.astype(object).where(values.notna(), None).map(_word)
        is_null = in_words.isin(("", *_NULLS))
        found = pd.to_numeric(in_words.mask(is_null), errors="coerce").astype(float)
        found = found.fillna(in_words.map(_TRUE_FALSE)) if name in SHARES else found
        refuse(found.isna() & ~is_null, path, f"{name} is not a number{hint}", values)
    high = 1.0 if name in SHARES else _MOST_TOKENS if name in _TOKENS else np.inf
    outside = found.notna() & ~((found >= 0) & (found <= high) & np.isfinite(found))
    refuse(outside, path, f"{name} must lie within 0 and {'infinity' if np.isinf(high) else f'{high:g}'}{hint}", values)
    return found


def refuse(wrong: pd.Series, path: Path, reason: str, values: pd.Series | None = None) -> None:
    """Raise ImportedError with file, row and value of the first row that is `wrong`, if any is."""
    if not wrong.any():
        return
    first = int(np.flatnonzero(wrong.to_numpy())[0])
    found = "" if values is None else f" ({str(values.iloc[first])[:60]!r})"
    more = f"; {int(wrong.sum()) - 1} more rows have the same fault" if wrong.sum() > 1 else ""
    raise ImportedError(f"{place(path, int(wrong.index[first]))}: {reason}{found}{more}")


def _text(cell: object, name: str, known: dict[object, str | None]) -> str | None:
    if isinstance(cell, str):
        text = cell
    elif cell is None or (isinstance(cell, float) and math.isnan(cell)) or cell is pd.NaT or cell is pd.NA:
        return None
    elif isinstance(cell, dict | list):
        text = _messages(cell) if name == "prompt" else json.dumps(cell)
    elif isinstance(cell, float) and cell.is_integer():  # a column of whole numbers of which some are missing
        text = str(int(cell))
    else:
        text = str(cell)
    if text not in known:
        known[text] = (text if name in _VERBATIM else text.strip()) or None
    return known[text]


def _messages(cell: object) -> str:
    """Return a prompt that is a list: of one text, or of chat messages, whose contents follow each other."""
    parts = cell if isinstance(cell, list) else [cell]
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        return "\n\n".join(texts)
    contents = [part.get("content") if isinstance(part, dict) else None for part in parts]
    known = [content for content in contents if isinstance(content, str)]
    return "\n\n".join(known) if len(known) == len(parts) else json.dumps(cell)


def _is_signals(value: str) -> bool:
    try:
        signals = json.loads(value)
    except (json.JSONDecodeError, RecursionError):
        return False
    return isinstance(signals, dict) and all(
        isinstance(number, int | float) and math.isfinite(number) for number in signals.values()
    )


def _word(cell: object) -> str:
    if isinstance(cell, str):
        return cell.strip().lower()
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell)).lower()
    if cell is None or isinstance(cell, datetime.date | datetime.time | datetime.timedelta | list | dict):
        return "" if cell is None else "not a number"
    return str(cell)
