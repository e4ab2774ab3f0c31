"""Imported outcomes: files of others as tasks and OUTCOMES that can be replayed.

What a file does not have stays null. Groups are near duplicates of the prompt, and splits a hash of the group, unless
the file has both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from slm_orchestration import tables
from slm_orchestration.outcomes.imported import layouts
from slm_orchestration.outcomes.imported.enrichment import add_costs, order_by_cost, tasks_table
from slm_orchestration.outcomes.imported.rows import ImportedError, answered_by_all, check_rows, check_tasks, read_file
from slm_orchestration.statistics.strategy_matrix import GUESS

RECORDED, AGREEMENT = "recorded", "agreement_with:"
REFUSE, DROP = "refuse", "drop"
MIN_TASKS_PER_SPLIT = 5  # in each of fit, calibration and evaluation


@dataclass(frozen=True)
class ImportOptions:
    """Which part of a file is used, and how it is read.

    `models` and `datasets` None: all. `small` None: all models but the most expensive. `unanswered`: refuse or drop
    tasks that some model did not answer. `quality`: recorded, or agreement_with:<model>, a proxy. `token_prices`: a CSV
    of USD per million tokens, used where the file has tokens and no costs. `min_models`: fewer raise ImportedError.
    """

    models: tuple[str, ...] | None = None
    datasets: tuple[str, ...] | None = None
    small: tuple[str, ...] | None = None
    unanswered: str = REFUSE
    quality: str = RECORDED
    token_prices: Path | None = None
    min_models: int = 2


@dataclass(frozen=True)
class Imported:
    """Imported `tasks` (a row per task, see `tasks_table`), OUTCOMES, and the pool, cheapest first.

    `cost_unit` is "usd", or "calls" where no dollars are known: then a call to a model that is not small costs 1, a
    call to a small one 0, and the column cost_usd is null. `remarks` say what was left out, assumed or derived.
    """

    tasks: pd.DataFrame
    outcomes: pd.DataFrame
    models: tuple[str, ...]
    small: tuple[str, ...]
    cost_unit: str
    remarks: tuple[str, ...]


def read_imported(path: Path, options: ImportOptions | None = None) -> Imported:
    """Return the outcomes of a file, a folder of files, or a clone of RouteLLM.

    Raises ImportedError, with file, row and reason, if they cannot be used.
    """
    options = options or ImportOptions()
    rows, remarks = read_rows(path, options)
    rows = _selected(rows, path, options)
    remarks += check_tasks(rows, path)
    rows = rows.sort_values(["task_id", "model"], ignore_index=True)  # so that the order of a file's rows has no effect
    models = list(rows["model"].unique())
    if len(models) < options.min_models:
        raise ImportedError(f"{path}: routing needs at least {options.min_models} models, found {', '.join(models)}")
    if GUESS in models:
        raise ImportedError(f"{path}: a model is called {GUESS!r}, the name of the answer without a model; rename it")
    rows, dropped = answered_by_all(rows, models, path, drop=_drop_unanswered(options))
    tasks, derived = tasks_table(rows, path)
    _check_splits(tasks, path)
    if options.quality != RECORDED:
        proxy = f"quality is agreement with {options.quality.removeprefix(AGREEMENT)}, a proxy"
        remarks.append(f"{proxy}: that model counts as always right, and a better answer than its own as wrong")
    rows, pricing = add_costs(rows, options.token_prices)
    models, small, cost_unit, ordering = order_by_cost(rows, tasks, options.models, options.small)
    return Imported(
        tasks=tasks,
        outcomes=as_outcomes(rows, tasks),
        models=tuple(models),
        small=tuple(small),
        cost_unit=cost_unit,
        remarks=tuple([*remarks, *dropped, *derived, *pricing, *ordering]),
    )


def read_new_tasks(path: Path, known: Imported, options: ImportOptions) -> Imported:
    """Return further tasks for the pool of `known`, with outcomes, or none if the file has only prompts.

    Raises ImportedError if it has neither prompts nor outcomes, or lacks a model of the pool.
    """
    if path.is_file() and not _has_outcomes(columns := set(map(str, read_file(path))), options):
        if "task_id" not in columns or not columns & {"prompt", "question"}:
            raise ImportedError(f"{path}: new data needs task_id and prompt, or task_id, model and quality")
        asked = read_file(path).drop_duplicates("task_id")
        rows, _ = check_rows(asked.assign(model="none", quality=0.0), path)
        return replace(known, tasks=tasks_table(rows, path)[0], outcomes=known.outcomes.iloc[:0], remarks=())
    rows, _ = read_rows(path, options)
    if missing := [name for name in known.models if name not in set(rows["model"])]:
        raise ImportedError(f"{path}: has no outcomes of {missing[0]!r}, a model of the pool")
    rows = rows[rows["model"].isin(known.models)].reset_index(drop=True)
    rows, remarks = answered_by_all(rows, known.models, path, drop=options.unanswered == DROP)
    tasks, _ = tasks_table(rows, path)
    return replace(known, tasks=tasks, outcomes=as_outcomes(rows, tasks), remarks=tuple(remarks))


def without_pilot(imported: Imported) -> Imported:
    """Return the outcomes without those of pilot tasks, with a remark on their number."""
    tasks = imported.tasks[imported.tasks["split"] != "pilot"].reset_index(drop=True)
    if not (pilot := len(imported.tasks) - len(tasks)):
        return imported
    remark = (
        f"{pilot:,} of {len(imported.tasks):,} tasks are in the pilot split, reserved for trials: no result uses them"
    )
    kept = imported.outcomes["task_id"].isin(set(tasks["task_id"]))
    outcomes = imported.outcomes[kept].reset_index(drop=True)
    return replace(imported, tasks=tasks, outcomes=outcomes, remarks=(remark, *imported.remarks))


def read_rows(path: Path, options: ImportOptions) -> tuple[pd.DataFrame, list[str]]:
    """Return the checked rows of a file, a folder or a clone of RouteLLM, and remarks. Raises ImportedError."""
    if not path.exists():
        raise ImportedError(f"{path}: no such file or folder")
    if path.is_file():
        return _cleaned(read_file(path), path, options)
    if evals := layouts.routellm_folder(path):
        raw, remarks = layouts.read_routellm(evals)
        rows, _ = _cleaned(raw, evals, options)
        return rows, remarks
    files = sorted(file for kind in ("*.parquet", "*.csv", "*.csv.gz", "*.tsv", "*.jsonl") for file in path.glob(kind))
    if not files:
        raise ImportedError(
            f"{path}: holds neither RouteLLM's evaluation files nor .parquet, .csv, .tsv or .jsonl files"
        )
    parts = [_cleaned(read_file(file), file, options) for file in files]
    rows = pd.concat([part for part, _ in parts], ignore_index=True)
    if (repeated := rows.duplicated(["task_id", "model"])).any():
        twice = rows[repeated].iloc[0]
        raise ImportedError(f"{path}: two of its files answer task {twice['task_id']!r} with {twice['model']!r}")
    return rows, sorted({remark for _, remarks in parts for remark in remarks})


def as_outcomes(rows: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    """Return checked rows as OUTCOMES, with domain, dataset, group and split of `tasks`."""
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


def _cleaned(raw: pd.DataFrame, path: Path, options: ImportOptions) -> tuple[pd.DataFrame, list[str]]:
    if layouts.is_routerbench(raw):
        raw = layouts.read_routerbench(raw)
    elif layouts.is_wide(raw, options.models):
        raw = layouts.read_wide(raw, options.models or ())
    if options.quality == RECORDED:
        return check_rows(raw, path)
    if not options.quality.startswith(AGREEMENT):
        raise ImportedError(f"quality={options.quality}: allowed is {RECORDED} or {AGREEMENT}<model>")
    rows, remarks = check_rows(raw.assign(quality=0.0), path)
    return rows.assign(quality=_agreement(rows, path, options.quality.removeprefix(AGREEMENT))), remarks


def _agreement(rows: pd.DataFrame, path: Path, model: str) -> pd.Series:
    if model not in set(rows["model"]):
        raise ImportedError(
            f"{path}: agreement_with:{model} is not a model of the file; they are {_listed(rows['model'].unique())}"
        )
    if rows["output"].isna().any():
        raise ImportedError(f"{path}: agreement needs each answer (column output), and some are missing")
    answers = rows["output"].str.casefold().str.split().str.join(" ")
    reference = answers[rows["model"] == model].set_axis(rows.loc[rows["model"] == model, "task_id"])
    lacking = ~rows["task_id"].isin(reference.index)
    if lacking.any():
        raise ImportedError(f"{path}: {model!r} did not answer task {rows.loc[lacking, 'task_id'].iloc[0]!r}")
    return (answers.to_numpy() == reference.reindex(rows["task_id"]).to_numpy()).astype(float)


def _selected(rows: pd.DataFrame, path: Path, options: ImportOptions) -> pd.DataFrame:
    for name, wanted in (("model", options.models), ("dataset", options.datasets)):
        if wanted is None:
            continue
        known = list(rows[name].dropna().unique())
        if unknown := [value for value in wanted if value not in known]:
            raise ImportedError(f"{path}: {name}s has no {unknown[0]!r}; they are {_listed(known) or 'not given'}")
        if len(set(wanted)) < len(wanted):
            raise ImportedError(f"{name}s=[{', '.join(wanted)}] names one twice")
        rows = rows[rows[name].isin(wanted)]
    return rows.reset_index(drop=True)


def _drop_unanswered(options: ImportOptions) -> bool:
    if options.unanswered not in (REFUSE, DROP):
        raise ImportedError(f"unanswered={options.unanswered}: allowed is {REFUSE} or {DROP}")
    return options.unanswered == DROP


def _check_splits(tasks: pd.DataFrame, path: Path) -> None:
    counts = tasks["split"].value_counts()
    short = [name for name in ("fit", "calibration", "evaluation") if counts.get(name, 0) < MIN_TASKS_PER_SPLIT]
    if short:
        raise ImportedError(
            f"{path}: {len(tasks)} tasks in {tasks['group'].nunique()} groups leave {counts.get(short[0], 0)} for "
            f"{short[0]}, and at least {MIN_TASKS_PER_SPLIT} are needed; record more tasks, or give a column split"
        )


def _listed(names: Iterable[object]) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")


def _has_outcomes(columns: set[str], options: ImportOptions) -> bool:
    graded = "quality" in columns or options.quality != RECORDED
    return ("model" in columns and graded) or "sample_id" in columns
