"""Imported outcomes: files of others as tasks and OUTCOMES that can be replayed.

What a file does not have stays null. Groups are near duplicates of the prompt, and splits a hash of the group, unless
the file has both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from slm_orchestration import tables
from slm_orchestration.outcomes.imported.columns import Naming
from slm_orchestration.outcomes.imported.coverage import answered_by_all, with_costs, with_prompts
from slm_orchestration.outcomes.imported.enrichment import (
    USD,
    add_costs,
    order_by_cost,
    priced_from_tokens,
    tasks_table,
)
from slm_orchestration.outcomes.imported.files import ImportedError
from slm_orchestration.outcomes.imported.keys import average_trials, check_repeats, unique_ids
from slm_orchestration.outcomes.imported.parts import Part, parts_of
from slm_orchestration.outcomes.imported.rows import check_cells, check_tasks, texts
from slm_orchestration.statistics.strategy_matrix import GUESS

RECORDED, AGREEMENT = "recorded", "agreement_with:"
REFUSE, DROP, AVERAGE = "refuse", "drop", "average"
MIN_TASKS_PER_SPLIT = 5  # in each of fit, calibration and evaluation


@dataclass(frozen=True)
class ImportOptions:
    """Which part of a file is used, and how it is read.

    `models` and `datasets` None: all. `small` None: all models but the most expensive. `unanswered`: refuse tasks that
    some model did not answer, or drop these and tasks without a cost or prompt that others have. `repeats`: refuse or
    average rows of one task and model that no column repeat tells apart. `quality`: recorded, or
    agreement_with:<model>, a proxy. `token_prices`: a table of USD per million tokens, used where the file has tokens
    and no costs. `naming`: which columns hold what. `min_models`: fewer raise ImportedError.
    """

    models: tuple[str, ...] | None = None
    datasets: tuple[str, ...] | None = None
    small: tuple[str, ...] | None = None
    unanswered: str = REFUSE
    quality: str = RECORDED
    token_prices: Path | None = None
    min_models: int = 2
    repeats: str = REFUSE
    naming: Naming = field(default_factory=Naming)


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
    models = list(rows["model"].unique())
    if len(models) < options.min_models:
        raise ImportedError(f"{path}: routing needs at least {options.min_models} models, found {', '.join(models)}")
    if GUESS in models:
        raise ImportedError(f"{path}: a model is called {GUESS!r}, the name of the answer without a model; rename it")
    drop = _drop_unanswered(options)
    rows, dropped = answered_by_all(rows, models, path, drop=drop)
    rows, pricing = priced_from_tokens(rows, options.token_prices)
    if drop:
        for keep in (with_costs, with_prompts):
            rows, said = keep(rows)
            dropped += said
    tasks, derived = tasks_table(rows, path)
    _check_splits(tasks, path)
    if options.quality != RECORDED:
        proxy = f"quality is agreement with {options.quality.removeprefix(AGREEMENT)}, a proxy"
        remarks.append(f"{proxy}: that model counts as always right, and a better answer than its own as wrong")
    rows, measured = add_costs(rows)
    models, small, cost_unit, ordering = order_by_cost(rows, tasks, options.models, options.small)
    return Imported(
        tasks=tasks,
        outcomes=as_outcomes(rows, tasks),
        models=tuple(models),
        small=tuple(small),
        cost_unit=cost_unit,
        remarks=tuple([*remarks, *dropped, *derived, *pricing, *measured, *ordering]),
    )


def read_new_tasks(path: Path, known: Imported, options: ImportOptions) -> Imported:
    """Return further tasks for the pool of `known`, read as its own were, with outcomes, or none without quality.

    Raises ImportedError if the file has neither prompts nor outcomes, or lacks a model of the pool.
    """
    parts, _ = parts_of(path, options.naming, options.models)
    columns = {str(name) for part in parts for name in part.rows}
    if "quality" not in columns and options.quality == RECORDED:
        if not {"task_id", "prompt"} <= columns:
            raise ImportedError(f"{path}: new data needs task_id and prompt, or task_id, model and quality")
        asked = pd.concat([check_cells(part.rows, part.path, ("task_id", "prompt")) for part in parts])
        tasks, _ = tasks_table(unique_ids(asked)[0], path)
        return replace(known, tasks=tasks, outcomes=known.outcomes.iloc[:0], remarks=())
    rows, _ = read_rows(path, replace(options, models=None))
    if missing := [name for name in known.models if name not in set(rows["model"])]:
        raise ImportedError(f"{path}: has no outcomes of {missing[0]!r}, a model of the pool")
    rows = rows[rows["model"].isin(known.models)].reset_index(drop=True)
    rows, remarks = answered_by_all(rows, known.models, path, drop=options.unanswered == DROP)
    rows, _ = add_costs(priced_from_tokens(rows, options.token_prices)[0])
    if known.cost_unit == USD and rows["cost_usd"].isna().any():
        raise ImportedError(f"{path}: some answers have no cost, and the known outcomes have")
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
    """Return one checked row per task and model, sorted by both, and remarks.

    A task has one id and one prompt in all its rows. Raises ImportedError with file, row and reason.
    """
    parts, remarks = parts_of(path, options.naming, options.models)
    parts = _graded(parts, options)
    for part in parts:
        part.check_columns()
    parts = _selected(parts, path, options)
    checked = [check_cells(part.rows, part.path) for part in parts]
    for part, rows in zip(parts, checked, strict=True):
        check_repeats(rows, part.path, average=_average_repeats(options))
    rows = checked[0] if len(checked) == 1 else pd.concat(checked, ignore_index=True)
    if not _average_repeats(options) and (repeated := rows.duplicated(["dataset", "task_id", "model", "repeat"])).any():
        twice = rows[repeated].iloc[0]
        raise ImportedError(f"{path}: two of its files answer task {twice['task_id']!r} with {twice['model']!r}")
    rows, averaged = average_trials(rows)
    rows, renamed = unique_ids(rows)
    reworded = check_tasks(rows, parts[0].path if len(parts) == 1 else path)
    # Sorted, so that the order of a file's rows has no effect.
    rows = rows.drop(columns="repeat").sort_values(["task_id", "model"], ignore_index=True)
    rows = rows.assign(prompt=rows.groupby("task_id", sort=False)["prompt"].transform("first"))
    if options.quality != RECORDED:
        rows = rows.assign(quality=_agreement(rows, path, options.quality.removeprefix(AGREEMENT)))
    return rows, [*remarks, *averaged, *renamed, *reworded]


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


def _selected(parts: list[Part], path: Path, options: ImportOptions) -> list[Part]:
    """Return the rows of the selected models and datasets, before their other cells are checked."""
    for name, wanted in (("model", options.models), ("dataset", options.datasets)):
        if wanted is None:
            continue
        if len(set(wanted)) < len(wanted):
            raise ImportedError(f"{name}s=[{', '.join(wanted)}] names one twice")
        cells = [texts(part.rows[name], name) if name in part.rows else pd.Series(dtype=object) for part in parts]
        known = list(dict.fromkeys(value for column in cells for value in column.dropna()))
        if unknown := [value for value in wanted if value not in known]:
            raise ImportedError(f"{path}: {name}s has no {unknown[0]!r}; they are {_listed(known) or 'not given'}")
        parts = [
            replace(part, rows=part.rows[column.isin(wanted).to_numpy()])
            for part, column in zip(parts, cells, strict=True)
            if name in part.rows
        ]
    return [part for part in parts if len(part.rows)]


def _graded(parts: list[Part], options: ImportOptions) -> list[Part]:
    """Return the parts with a quality of 0 where agreement with a model will take its place."""
    if options.quality == RECORDED:
        return parts
    if not options.quality.startswith(AGREEMENT):
        raise ImportedError(f"quality={options.quality}: allowed is {RECORDED} or {AGREEMENT}<model>")
    return [replace(part, rows=part.rows.assign(quality=0.0)) for part in parts]


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
    return pd.Series(answers.to_numpy() == reference.reindex(rows["task_id"]).to_numpy(), rows.index).astype(float)


def _drop_unanswered(options: ImportOptions) -> bool:
    if options.unanswered not in (REFUSE, DROP):
        raise ImportedError(f"unanswered={options.unanswered}: allowed is {REFUSE} or {DROP}")
    return options.unanswered == DROP


def _average_repeats(options: ImportOptions) -> bool:
    if options.repeats not in (REFUSE, AVERAGE):
        raise ImportedError(f"repeats={options.repeats}: allowed is {REFUSE} or {AVERAGE}")
    return options.repeats == AVERAGE


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
