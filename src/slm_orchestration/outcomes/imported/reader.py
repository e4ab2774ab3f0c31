"""Recorded outcomes of other people's models, as tasks and OUTCOMES that the rest of the project can replay.

What a file does not have stays null. Splits follow from a hash of the group, groups from near duplicates of the prompt.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from slm_orchestration import tables
from slm_orchestration.outcomes.imported import layouts
from slm_orchestration.outcomes.imported.enrichment import cheapest_first, priced, tasks_of
from slm_orchestration.outcomes.imported.rows import ImportedError, check_tasks, clean, complete, read_file

RECORDED, AGREEMENT = "recorded", "agreement_with:"
REFUSE, DROP = "refuse", "drop"
FEWEST = 5  # tasks that fit, calibration and evaluation need at the very least


@dataclass(frozen=True)
class Selection:
    """Which part of a file is used, and how it is read.

    `models` and `datasets` None: all. `small` None: all models but the dearest. `unanswered`: what happens to tasks
    that some model did not answer. `quality`: as recorded, or agreement_with:<model>, a proxy. `token_prices`: a CSV of
    USD per million tokens, used where the file has tokens and no costs. `least`: fewer models are refused.
    """

    models: tuple[str, ...] | None = None
    datasets: tuple[str, ...] | None = None
    small: tuple[str, ...] | None = None
    unanswered: str = REFUSE
    quality: str = RECORDED
    token_prices: Path | None = None
    least: int = 2


GUESS = "guess"


@dataclass(frozen=True)
class Imported:
    """`tasks` as OutcomeMatrix wants them, OUTCOMES, and the pool, cheapest first.

    `cost_unit` is "usd", or "calls" where no dollars are known: then a call to a model that is not small costs 1 and
    the others nothing, and the column cost_usd stays null. `remarks` say what was left out, assumed or derived.
    """

    tasks: pd.DataFrame
    outcomes: pd.DataFrame
    models: tuple[str, ...]
    small: tuple[str, ...]
    cost_unit: str
    remarks: tuple[str, ...]


def read_imported(path: Path, selection: Selection | None = None) -> Imported:
    """Return the outcomes of a file, a folder of files, or a clone of RouteLLM. Raises ImportedError."""
    selection = selection or Selection()
    rows, remarks = rows_of(path, selection)
    rows = _selected(rows, path, selection)
    remarks += check_tasks(rows, path)
    rows = rows.sort_values(["task_id", "model"], ignore_index=True)  # the order of a file's rows says nothing
    models = list(rows["model"].unique())
    if len(models) < selection.least:
        raise ImportedError(f"{path}: routing needs at least {selection.least} models, found {', '.join(models)}")
    if GUESS in models:
        raise ImportedError(f"{path}: a model is called {GUESS!r}, which here is the answer without a model; rename it")
    rows, dropped = complete(rows, models, path, drop=_drops(selection))
    tasks, told = tasks_of(rows, path)
    _check_splits(tasks, path)
    if selection.quality != RECORDED:
        proxy = f"quality is agreement with {selection.quality.removeprefix(AGREEMENT)}, a proxy"
        remarks.append(f"{proxy}: that model counts as always right, and a better answer than its own as wrong")
    rows, noted = priced(rows, selection.token_prices)
    models, small, cost_unit, ordered = cheapest_first(rows, tasks, selection.models, selection.small)
    return Imported(
        tasks=tasks,
        outcomes=outcomes_of(rows, tasks),
        models=tuple(models),
        small=tuple(small),
        cost_unit=cost_unit,
        remarks=tuple([*remarks, *dropped, *told, *noted, *ordered]),
    )


def without_pilot(imported: Imported) -> Imported:
    """Return the outcomes of fit, calibration and evaluation tasks, with a remark on how many others there are."""
    tasks = imported.tasks[imported.tasks["split"] != "pilot"].reset_index(drop=True)
    if not (pilot := len(imported.tasks) - len(tasks)):
        return imported
    told = (
        f"{pilot:,} of {len(imported.tasks):,} tasks are in the pilot split, set apart for trials: no result uses them"
    )
    kept = imported.outcomes["task_id"].isin(set(tasks["task_id"]))
    outcomes = imported.outcomes[kept].reset_index(drop=True)
    return replace(imported, tasks=tasks, outcomes=outcomes, remarks=(told, *imported.remarks))


def rows_of(path: Path, selection: Selection) -> tuple[pd.DataFrame, list[str]]:
    """Return the checked rows of a file, a folder or a clone of RouteLLM, and remarks; or raise ImportedError."""
    if not path.exists():
        raise ImportedError(f"{path}: no such file or folder")
    if path.is_file():
        return _cleaned(read_file(path), path, selection)
    if evals := layouts.routellm_folder(path):
        raw, remarks = layouts.read_routellm(evals)
        rows, _ = _cleaned(raw, evals, selection)
        return rows, remarks
    files = sorted(file for kind in ("*.parquet", "*.csv", "*.csv.gz", "*.tsv", "*.jsonl") for file in path.glob(kind))
    if not files:
        raise ImportedError(
            f"{path}: holds neither RouteLLM's evaluation files nor .parquet, .csv, .tsv or .jsonl files"
        )
    parts = [_cleaned(read_file(file), file, selection) for file in files]
    rows = pd.concat([part for part, _ in parts], ignore_index=True)
    if (repeated := rows.duplicated(["task_id", "model"])).any():
        twice = rows[repeated].iloc[0]
        raise ImportedError(f"{path}: two of its files answer task {twice['task_id']!r} with {twice['model']!r}")
    return rows, sorted({remark for _, remarks in parts for remark in remarks})


def _cleaned(raw: pd.DataFrame, path: Path, selection: Selection) -> tuple[pd.DataFrame, list[str]]:
    if layouts.is_routerbench(raw):
        raw = layouts.read_routerbench(raw)
    elif layouts.is_wide(raw, selection.models):
        raw = layouts.read_wide(raw, selection.models or ())
    if selection.quality == RECORDED:
        return clean(raw, path)
    if not selection.quality.startswith(AGREEMENT):
        raise ImportedError(f"quality={selection.quality}: allowed is {RECORDED} or {AGREEMENT}<model>")
    rows, remarks = clean(raw.assign(quality=0.0), path)
    return rows.assign(quality=_agreement(rows, path, selection.quality.removeprefix(AGREEMENT))), remarks


def _agreement(rows: pd.DataFrame, path: Path, model: str) -> pd.Series:
    if model not in set(rows["model"]):
        raise ImportedError(
            f"{path}: agreement_with:{model} names no model; they are {_listed(rows['model'].unique())}"
        )
    if rows["output"].isna().any():
        raise ImportedError(f"{path}: agreement needs each answer (column output), and some are missing")
    said = rows["output"].str.casefold().str.split().str.join(" ")
    reference = said[rows["model"] == model].set_axis(rows.loc[rows["model"] == model, "task_id"])
    lacking = ~rows["task_id"].isin(reference.index)
    if lacking.any():
        raise ImportedError(f"{path}: {model!r} did not answer task {rows.loc[lacking, 'task_id'].iloc[0]!r}")
    return (said.to_numpy() == reference.reindex(rows["task_id"]).to_numpy()).astype(float)


def _selected(rows: pd.DataFrame, path: Path, selection: Selection) -> pd.DataFrame:
    for name, wanted in (("model", selection.models), ("dataset", selection.datasets)):
        if wanted is None:
            continue
        known = list(rows[name].dropna().unique())
        if unknown := [value for value in wanted if value not in known]:
            raise ImportedError(f"{path}: {name}s has no {unknown[0]!r}; they are {_listed(known) or 'not given'}")
        if len(set(wanted)) < len(wanted):
            raise ImportedError(f"{name}s=[{', '.join(wanted)}] names one twice")
        rows = rows[rows[name].isin(wanted)]
    return rows.reset_index(drop=True)


def _drops(selection: Selection) -> bool:
    if selection.unanswered not in (REFUSE, DROP):
        raise ImportedError(f"unanswered={selection.unanswered}: allowed is {REFUSE} or {DROP}")
    return selection.unanswered == DROP


def _check_splits(tasks: pd.DataFrame, path: Path) -> None:
    counts = tasks["split"].value_counts()
    short = [name for name in ("fit", "calibration", "evaluation") if counts.get(name, 0) < FEWEST]
    if short:
        raise ImportedError(
            f"{path}: {len(tasks)} tasks in {tasks['group'].nunique()} groups leave {counts.get(short[0], 0)} for "
            f"{short[0]}, and at least {FEWEST} are needed; record more tasks, or give a column split"
        )


def outcomes_of(rows: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    """Return checked rows as OUTCOMES, told what `tasks` says of their tasks."""
    about = tasks.set_index("task_id")[["domain", "dataset", "group", "split"]].reindex(rows["task_id"])
    frame = pd.DataFrame(
        {
            "task_id": rows["task_id"],
            **{name: about[name].to_numpy() for name in ("domain", "dataset", "group", "split")},
            **{"model": rows["model"], "repeat": 0, "answer": rows["output"], "quality": rows["quality"]},
            **{"signals": rows["signals"], "confidence": rows["confidence"]},
            "prompt_tokens": rows["prompt_tokens"].round().astype("Int64"),
            "completion_tokens": rows["completion_tokens"].round().astype("Int64"),
            "latency_s": rows["latency_s"],
            "latency_source": rows["latency_s"].notna().map({True: "as recorded", False: None}),
            **{"device_s": None, "cost_usd": rows["cost_usd"], "finish_reason": rows["finish_reason"], "error": None},
        }
    )
    return tables.conform(frame, tables.OUTCOMES)


def _listed(names: Iterable[object]) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")


# ========== Further tasks of a pool that was imported before: with graded answers, or only their prompts.
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
