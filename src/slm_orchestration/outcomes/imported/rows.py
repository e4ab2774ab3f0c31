"""Rows of imported outcomes, one per task and model: read from a file and checked.

Errors name the file, the row (row 1 follows the header) and the reason. Until they are checked, rows are indexed by
their position in the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from slm_orchestration.tasks.task import SPLITS

REQUIRED = ("task_id", "model", "quality")
TASK_COLUMNS = ("dataset", "domain", "group", "split", "prompt")
TEXTS = ("task_id", "model", *TASK_COLUMNS, "output", "signals", "finish_reason")
SHARES = ("quality", "confidence", "guess_quality")
AMOUNTS = ("prompt_tokens", "completion_tokens", "cost_usd", "latency_s")
COLUMNS = (*TEXTS, *SHARES, *AMOUNTS)
_VERBATIM = ("prompt", "output", "signals")  # other texts are stripped of white space
_ALIASES = {"answer": "output", "response": "output", "question": "prompt", "correct": "quality"}
_TRUE_FALSE = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_NULLS = ("nan", "null", "none", "na", "<na>")
_GRADED = "quality is graded from 0 to 1, or true and false: divide percentages by 100"
_FAILED = "grade a wrong answer 0; for a call that failed, leave the row out and set unanswered=drop"
_READABLE = ".csv, .csv.gz, .tsv, .parquet, .jsonl"


class ImportedError(ValueError):
    """Recorded outcomes that cannot be used; the message names the file, the row and what to do."""


def read_file(path: Path) -> pd.DataFrame:
    """Return the rows of a file unchecked, as text where the format has no types. Raises ImportedError."""
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            return pq.read_table(path).to_pandas()
        if name.endswith((".csv", ".csv.gz", ".tsv")):
            return _separated(path, "\t" if name.endswith(".tsv") else ",")
        if name.endswith(".jsonl"):
            return pd.read_json(path, lines=True, dtype=False, convert_dates=False, encoding="utf-8")
    except pd.errors.EmptyDataError as error:
        raise ImportedError(f"{path}: is empty") from error
    except UnicodeDecodeError as error:
        raise ImportedError(
            f"{path}: is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except (pa.ArrowInvalid, pd.errors.ParserError, ValueError) as error:
        raise ImportedError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    if name.endswith((".pkl", ".pickle")):
        raise ImportedError(
            f"{path}: opening a pickle runs code from it; if you trust it, convert it: "
            "pandas.read_pickle(...).to_parquet(...)"
        )
    raise ImportedError(f"{path}: unknown kind of file; readable are {_READABLE}, and a folder of them")


def _separated(path: Path, separator: str) -> pd.DataFrame:
    first = pd.read_csv(path, sep=separator, nrows=0, encoding="utf-8-sig").columns
    semicolons = len(first) == 1 and ";" in first[0]
    separator = "\t" if len(first) == 1 and "\t" in first[0] else separator
    # Read as text, so that the id 007 stays 007 and a model may be called NA.
    rows = pd.read_csv(
        path, sep=";" if semicolons else separator, dtype=str, keep_default_na=False, encoding="utf-8-sig"
    )
    if semicolons:  # then a comma may be the decimal separator
        measured = [name for name in rows if name in (*SHARES, *AMOUNTS)]
        rows[measured] = rows[measured].apply(lambda column: column.str.replace(",", "."))
    return rows


def check_rows(rows: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with exactly COLUMNS, null where the file has no value, and remarks on what is not used.

    Raises ImportedError on a missing column, an empty file, a value of the wrong type or out of its range, and on two
    rows of one task and model.
    """
    rows, remarks = _named(rows, path)
    if rows.empty:
        raise ImportedError(f"{path}: holds no rows")
    cleaned = pd.DataFrame(index=rows.index)
    for name in COLUMNS:
        values = rows[name] if name in rows else pd.Series(None, rows.index, dtype=object)
        cleaned[name] = _texts(values, name) if name in TEXTS else _numbers(values, name, path)
    for name in REQUIRED:
        _refuse(cleaned[name].isna(), path, f"{name} is missing" + (f"; {_FAILED}" if name == "quality" else ""))
    wrong = ~cleaned["signals"].map(_is_signals).astype(bool)
    _refuse(wrong, path, "signals must be JSON, names with numbers", cleaned["signals"])
    repeated = cleaned.duplicated(["task_id", "model"])
    _refuse(repeated, path, "repeats the task and model of an earlier row; keep one, or number them in a column repeat")
    return cleaned.reset_index(drop=True), remarks


def check_tasks(rows: pd.DataFrame, path: Path) -> list[str]:
    """Return a remark on tasks whose prompt differs between models; the first prompt is used.

    Raises ImportedError if two rows of one task differ in dataset, domain, group, split or guess_quality.
    """
    first = rows.drop_duplicates("task_id").set_index("task_id")
    reworded = 0
    for name in (*TASK_COLUMNS, "guess_quality"):
        expected = first[name].reindex(rows["task_id"]).to_numpy()
        differs = (rows[name].to_numpy() != expected) & ~(rows[name].isna().to_numpy() & pd.isna(expected))
        if name == "prompt":
            reworded = int(rows.loc[differs, "task_id"].nunique())
            continue
        _refuse(pd.Series(differs, rows.index), path, f"gives another {name} than an earlier row of the same task")
    return [f"{reworded} tasks have prompts that differ between models: routers read the first"] if reworded else []


def answered_by_all(
    rows: pd.DataFrame, models: Sequence[str], path: Path, *, drop: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of tasks that every model answered, and remarks. Raises ImportedError if `drop` is False and
    some task lacks an answer."""
    answered = rows.groupby("task_id", sort=False)["model"].transform("size") == len(models)
    if answered.all():
        return rows, []
    kept, tasks = rows.loc[answered, "task_id"].nunique(), rows["task_id"].nunique()
    counts = rows.groupby("model")["task_id"].nunique()
    fewest = str(counts.idxmin())
    lacking = sorted(set(rows["task_id"]) - set(rows.loc[rows["model"] == fewest, "task_id"]))
    missing = f"{fewest!r} has no row for {len(lacking)} of {tasks} tasks, first {lacking[0]!r}"
    if not drop:
        raise ImportedError(
            f"{path}: models answered different tasks: {missing}; add the rows, choose models=[...], or set "
            f"unanswered=drop to use only the {kept} tasks that all {len(models)} models answered"
        )
    if not kept:
        raise ImportedError(f"{path}: no task was answered by all {len(models)} models; choose models=[...]")
    return rows[answered], [f"{tasks - kept} of {tasks} tasks dropped, as not every model answered them ({missing})"]


def _named(rows: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    rows = rows.set_axis([str(name).strip() for name in rows], axis=1)
    present, known = set(rows), {*COLUMNS, *_ALIASES, "repeat"}
    rows = rows.set_axis([low if (low := str(name).lower()) in known - present else name for name in rows], axis=1)
    rows = rows.rename(columns={old: new for old, new in _ALIASES.items() if old in rows and new not in rows})
    foreign = "split" in rows and not rows["split"].dropna().isin(SPLITS).all()
    remarks = ["column split not used: it does not hold this project's splits"] if foreign else []
    rows = rows.drop(columns="split") if foreign else rows
    if rows.columns.duplicated().any():
        raise ImportedError(f"{path}: column {rows.columns[rows.columns.duplicated()][0]!r} occurs twice")
    if missing := [name for name in REQUIRED if name not in rows]:
        raise ImportedError(
            f"{path}: column {missing[0]!r} is missing; needed are {', '.join(REQUIRED)}, a row per task and model. "
            f"The file has {', '.join(map(str, rows.columns[:12])) or 'no columns'}{_wide_hint(rows)}"
        )
    if "repeat" in rows:
        rows = rows[pd.to_numeric(rows["repeat"], errors="coerce") == 0]
        if rows.empty:
            raise ImportedError(
                f"{path}: column repeat numbers answers from 0, and only repeat 0 is read: no row has it"
            )
    unused = [str(name) for name in rows if name not in (*COLUMNS, "repeat")]
    return rows, [*remarks, f"columns not used: {', '.join(unused)}"] if unused else remarks


def _wide_hint(rows: pd.DataFrame) -> str:
    if "task_id" in rows and not {"model", "quality"} & set(rows):
        return "; if each model has a column of its own with its quality, name them: models=[a,b]"
    return ""


def _texts(values: pd.Series, name: str) -> pd.Series:
    text = values.astype(object).where(values.notna(), None)
    text = text.map(
        lambda value: value if value is None else json.dumps(value) if isinstance(value, dict) else str(value)
    )
    if name not in _VERBATIM:
        text = text.str.strip()
    return text.where(text != "", None)


def _is_signals(value: object) -> bool:
    try:
        signals = json.loads(value) if isinstance(value, str) else {}
    except json.JSONDecodeError:
        return False
    return isinstance(signals, dict) and all(isinstance(number, int | float) for number in signals.values())


def _numbers(values: pd.Series, name: str, path: Path) -> pd.Series:
    if values.dtype == bool or pd.api.types.is_bool_dtype(values):
        return values.astype(float)
    present = values.notna() & (values.astype(str).str.strip() != "")
    words = values.astype(str).str.strip().str.lower().map(_TRUE_FALSE)
    numbers = pd.to_numeric(values.where(present), errors="coerce").astype(float)
    numbers = numbers.where(numbers.notna(), words)
    is_null = values.astype(str).str.strip().str.lower().isin(_NULLS)
    hint = f"; {_GRADED}" if name == "quality" else ""
    _refuse(present & numbers.isna() & ~is_null, path, f"{name} is not a number{hint}", values)
    high = 1.0 if name in SHARES else np.inf
    outside = numbers.notna() & ~((numbers >= 0) & (numbers <= high) & np.isfinite(numbers))
    _refuse(outside, path, f"{name} must lie within 0 and {'1' if high == 1 else 'infinity'}{hint}", values)
    return numbers


def _refuse(wrong: pd.Series, path: Path, reason: str, values: pd.Series | None = None) -> None:
    if not wrong.any():
        return
    place = int(np.flatnonzero(wrong.to_numpy())[0])
    found = "" if values is None else f" ({values.iloc[place]!r})"
    more = f"; {int(wrong.sum()) - 1} more rows have the same fault" if wrong.sum() > 1 else ""
    raise ImportedError(f"{path}, row {wrong.index[place] + 1}: {reason}{found}{more}")
