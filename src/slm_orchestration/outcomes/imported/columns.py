"""The names of columns: which column of a file holds what, as named, as told (`columns=`), or as its name suggests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from slm_orchestration.outcomes.imported.files import ImportedError
from slm_orchestration.tasks.task import SPLITS

KEY = ("task_id", "model", "dataset", "repeat")
REQUIRED = ("task_id", "model", "quality")
TASK_COLUMNS = ("dataset", "domain", "group", "split", "prompt")
TEXTS = ("task_id", "model", *TASK_COLUMNS, "output", "signals", "finish_reason", "repeat")
SHARES = ("quality", "confidence", "guess_quality")
AMOUNTS = ("prompt_tokens", "completion_tokens", "cost_usd", "latency_s")
COLUMNS = (*TEXTS, *SHARES, *AMOUNTS)

AUTO = "auto"
# Names that are read as they are, because they can mean nothing else here.
_ALIASES = {"answer": "output", "response": "output", "question": "prompt", "correct": "quality", "trial": "repeat"}
# Names that are suggested, and taken with columns=auto. Units of another size (latency_ms) are left out on purpose.
_SUGGESTED = {
    "task_id": "id task instance_id question_id sample_id item_id example_id doc_id prompt_id problem_id query_id uid",
    "model": "agent model_name model_id llm system engine solver",
    "quality": "score resolved is_correct passed pass success accuracy acc reward exact_match is_resolved",
    "prompt": "input query instruction problem problem_statement messages",
    "output": "completion prediction generation model_output model_response",
    "dataset": "benchmark suite eval_name",
    "domain": "category subject topic benchmark",
    "split": "partition fold",
    "group": "cluster conversation_id session_id",
    "repeat": "sample run attempt seed epoch",
    "cost_usd": "cost usd price total_cost dollars cost_dollars",
    "latency_s": "latency seconds duration duration_s time_s latency_seconds",
    "prompt_tokens": "input_tokens tokens_in",
    "completion_tokens": "output_tokens tokens_out",
    "confidence": "probability prob",
}
_SUGGESTIONS = {name: tuple(words.split()) for name, words in _SUGGESTED.items()}


@dataclass(frozen=True)
class Naming:
    """How the columns of a file are named.

    `columns` pairs a name of COLUMNS with the file's name of it; AUTO takes what the names suggest. `splits` pairs a
    value of the file's split column with the splits that its tasks are divided among.
    """

    columns: tuple[tuple[str, str], ...] | str = ()
    splits: tuple[tuple[str, tuple[str, ...]], ...] = ()


def named(rows: pd.DataFrame, path: Path, naming: Naming | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with the columns' names of COLUMNS, other columns left out, and remarks.

    Raises ImportedError where `columns` names what is not there, and where two columns have one name.
    """
    naming = naming or Naming()
    rows = rows.set_axis([_plain(str(name)) for name in rows], axis=1)
    rows = rows.rename(columns={old: new for old, new in _ALIASES.items() if old in rows and new not in rows})
    if rows.columns.duplicated().any():
        raise ImportedError(f"{path}: column {rows.columns[rows.columns.duplicated()][0]!r} occurs twice")
    rows, remarks = _as_told(rows, path, naming.columns)
    if "split" in rows:
        rows, about_splits = _with_splits(rows, path, naming)
        remarks += about_splits
    unused = [str(name) for name in rows if name not in COLUMNS]
    if unused:
        suggested = {theirs: ours for ours, theirs in suggestions(rows).items()}
        listed = [f"{name} ({suggested[name]}?)" if name in suggested else name for name in unused]
        offer = "; columns=auto reads those with a question mark as such" if suggested else ""
        remarks.append(f"columns not used: {', '.join(listed)}{offer}")
    return rows[[name for name in COLUMNS if name in rows]], remarks


def check_named(rows: pd.DataFrame, raw: pd.DataFrame, path: Path, needed: tuple[str, ...] = REQUIRED) -> None:
    """Raise ImportedError with suggestions if the named `rows` lack a needed column; `raw` are the rows of the file."""
    if not (missing := [name for name in needed if name not in rows]):
        return
    found = suggestions(raw.set_axis([_plain(str(name)) for name in raw], axis=1))
    told = {ours: theirs for ours, theirs in found.items() if ours not in rows}
    if set(missing) <= set(told):
        hint = f"; columns=auto takes {_listed(told)}, or name them: columns={{{_pairs(told)}}}"
    elif "task_id" in rows and not {"model", "quality"} & set(rows):
        wide = quality_columns(raw)
        hint = "; if each model has a column of its own with its quality, name them: models=[a,b]"
        hint += f" (as may {', '.join(wide[:12])})" if wide else ""
    else:
        hint = f"; say which column it is: columns={{{missing[0]}: <name>}}"
        hint += f", and columns=auto takes {_listed(told)}" if told else ""
    raise ImportedError(
        f"{path}: column {missing[0]!r} is missing; needed are {', '.join(needed)}, a row per task and model. "
        f"The file has {', '.join(map(str, raw.columns[:20])) or 'no columns'}{hint}"
    )


def suggestions(rows: pd.DataFrame) -> dict[str, str]:
    """Return, for names of COLUMNS that `rows` lack, the file's column whose name suggests it; none where two do."""
    taken: dict[str, str] = {}
    for ours, words in _SUGGESTIONS.items():
        if ours in rows:
            continue
        found = [str(name) for name in rows if _plain(str(name).rpartition(".")[2]) in (*words, ours)]
        found = [name for name in found if name not in COLUMNS and name not in taken.values()]
        if len(found) == 1:
            taken[ours] = found[0]
    return taken


def meaning(word: str) -> str | None:
    """Return the name of COLUMNS that a word means or suggests, as score means quality; None if none."""
    plain = _plain(word)
    if plain in COLUMNS:
        return plain
    return _ALIASES.get(plain) or next((ours for ours, words in _SUGGESTIONS.items() if plain in words), None)


def quality_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns that hold nothing but numbers from 0 to 1, or true and false: in a wide table, the models."""
    found = []
    for name in rows:
        words = rows[name].astype(str).str.strip().str.casefold().replace({"true": "1", "false": "0"})
        numbers = pd.to_numeric(words, errors="coerce")
        if len(rows) and bool(numbers.between(0, 1).all()) and _plain(str(name)) not in COLUMNS:
            found.append(str(name))
    return found


def _as_told(
    rows: pd.DataFrame, path: Path, columns: tuple[tuple[str, str], ...] | str
) -> tuple[pd.DataFrame, list[str]]:
    if columns == AUTO:
        taken = suggestions(rows)
        remarks = [f"columns=auto: {_listed(taken)}"] if taken else []
        return rows.rename(columns={theirs: ours for ours, theirs in taken.items()}), remarks
    assert not isinstance(columns, str)
    told = {"task_id" if ours == "task" else ours: _plain(theirs) for ours, theirs in columns}
    if unknown := [name for name in told if name not in COLUMNS]:
        raise ImportedError(f"columns={{{unknown[0]}: …}}: no such column is read; they are {', '.join(COLUMNS)}")
    if absent := [theirs for theirs in told.values() if theirs not in rows]:
        raise ImportedError(f"{path}: columns= names {absent[0]!r}, and the file has {', '.join(map(str, rows))}")
    replaced = {ours: f"{ours} (as named in the file)" for ours in told if ours in rows and ours not in told.values()}
    return rows.rename(columns=replaced | {theirs: ours for ours, theirs in told.items()}), []


def _with_splits(rows: pd.DataFrame, path: Path, naming: Naming) -> tuple[pd.DataFrame, list[str]]:
    present = rows["split"].map(lambda value: str(value).strip(), na_action="ignore")
    present = present.where(present != "")
    values = sorted(present.dropna().unique())
    if naming.splits:
        told = dict(naming.splits)
        if unknown := [value for value in values if value not in told]:
            raise ImportedError(f"{path}: split= does not say what {unknown[0]!r} is; the file has {', '.join(values)}")
        if wrong := [ours for parts in told.values() for ours in parts if ours not in SPLITS]:
            raise ImportedError(f"split= names {wrong[0]!r}: allowed are {', '.join(SPLITS)}")
        return rows.assign(split=present.map({value: "+".join(parts) for value, parts in told.items()})), []
    if all(value in SPLITS for value in values):
        return rows, []
    said = f"column split not used: it does not hold this project's splits but {', '.join(values[:6])}"
    return rows.drop(columns="split"), [f"{said}; map them, as in split={{train: [fit,calibration], test: evaluation}}"]


def _plain(name: str) -> str:
    """Return the name of a column that is read, however it is written ("Task ID"), else the name as it is."""
    plain = re.sub(r"[^a-z0-9.]+", "_", name.strip().casefold()).strip("_")
    known = {*COLUMNS, *_ALIASES, *(word for words in _SUGGESTIONS.values() for word in words)}
    return plain if plain in known else name.strip()


def _listed(taken: Mapping[str, str]) -> str:
    return ", ".join(f"{ours} from {theirs!r}" for ours, theirs in taken.items())


def _pairs(taken: Mapping[str, str]) -> str:
    return ", ".join(f"{ours}: {theirs}" for ours, theirs in taken.items())
