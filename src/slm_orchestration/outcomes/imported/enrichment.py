"""What an import adds to the rows of a file: costs, the order of the models by cost, datasets, groups and splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from slm_orchestration.outcomes.imported.files import ImportedError, read_file
from slm_orchestration.outcomes.imported.rows import numbers, refuse, texts
from slm_orchestration.tasks.duplicates import group_texts
from slm_orchestration.tasks.suite import SHARES, split_of

USD, CALLS = "usd", "calls"
_PRICES = ["model", "usd_per_million_prompt_tokens", "usd_per_million_completion_tokens"]
_MEASURES = {"cost_usd": "costs", "latency_s": "latencies"}
_DROP = {"cost_usd": "; unanswered=drop leaves out tasks without them", "latency_s": ""}
# A group of near duplicates that holds more than this share of the tasks, and more than so many, is a template with
# numbers filled in, not one task.
_TEMPLATE_SHARE, _TEMPLATE_TASKS = 0.02, 20


def priced_from_tokens(rows: pd.DataFrame, token_prices: Path | None) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with missing costs derived from tokens, if a price list is given, and a remark."""
    if token_prices is None:
        return rows, []
    prices = _read_prices(token_prices, list(rows["model"].unique()))
    prompt, completion = (prices[name].reindex(rows["model"]).to_numpy(float) / 1e6 for name in _PRICES[1:])
    derived = rows["prompt_tokens"] * prompt + rows["completion_tokens"] * completion
    filled = int((rows["cost_usd"].isna() & derived.notna()).sum())
    rows = rows.assign(cost_usd=rows["cost_usd"].fillna(derived))
    return rows, [f"{filled} costs derived from tokens and {token_prices}"]


def add_costs(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with costs and latencies that all answers have, null otherwise, and remarks.

    If some answers lack a cost (or latency), it is null for all: means over different tasks cannot be compared.
    """
    remarks = []
    for name, plural in _MEASURES.items():
        known = rows.groupby("model", sort=False)[name].apply(lambda values: bool(values.notna().all()))
        if known.all():
            continue
        if known.any():
            lacking = [str(model) for model, complete in known.items() if not complete]
            remarks.append(
                f"{plural} not used: {len(lacking)} of {len(known)} models lack some, such as {lacking[0]!r}; "
                "models=[...] chooses models that have them" + _DROP[name]
            )
        elif rows[name].notna().any():
            lacking_rows = int(rows[name].isna().sum())
            remarks.append(f"{plural} not used: {lacking_rows} of {len(rows)} answers have none{_DROP[name]}")
        rows = rows.assign(**{name: np.nan})
    return rows, remarks


def order_by_cost(
    rows: pd.DataFrame, tasks: pd.DataFrame, asked: Sequence[str] | None, small: Sequence[str] | None
) -> tuple[list[str], list[str], str, list[str]]:
    """Return the models cheapest first, the small ones, the unit of cost, and remarks.

    Models are ordered by mean dollars on fit tasks; without dollars, in the order of `asked`, else by mean quality on
    fit tasks. Without dollars the unit of cost is a call to a model that is not small.
    """
    fit = rows[rows["task_id"].isin(set(tasks.loc[tasks["split"] == "fit", "task_id"]))]
    names = sorted(rows["model"].unique())
    means = fit.groupby("model")[["cost_usd", "quality"]].mean().reindex(names)
    unit, remarks = (USD if bool(means["cost_usd"].notna().all()) else CALLS), []
    if unit == USD and not means["cost_usd"].max() > 0:
        unit = CALLS
        remarks.append("every recorded cost is 0")
    if unit == USD:
        models = list(means.sort_values(["cost_usd", "quality"], kind="stable").index)
    else:
        models = list(asked) if asked else list(means.sort_values("quality", kind="stable").index)
    if small is None:
        small = models[:-1]
    if unknown := [name for name in small if name not in names]:
        raise ImportedError(f"small={unknown[0]!r} is not a model of these outcomes; they are {', '.join(names[:12])}")
    if len(set(small)) == len(models):
        raise ImportedError("small names every model; leave out at least one, with which small models are compared")
    if unit == CALLS:
        models = [name for name in models if name in small] + [name for name in models if name not in small]
        counted = ", ".join(name for name in models if name not in small)
        remarks.append(
            f"no dollars: cost is counted in calls to {counted}, and dollars stay empty; token_prices=<csv> "
            "derives them from tokens"
        )
        if not asked:
            remarks.append(f"models are in the order of their quality on fit tasks, so {models[-1]!r} is the large one")
    return models, [name for name in models if name in small], unit, remarks


def tasks_table(rows: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return a row per task: task_id, domain, dataset, group, split, question, guess_quality; and remarks.

    A missing dataset is named after the domain, a missing domain after the dataset, else both after the file. Groups
    are those of the file, else near duplicates of the prompt, else one per task. Splits are those of the file if they
    are this project's, else they follow from a hash of the group.
    """
    first_rows = rows.drop_duplicates("task_id").sort_values("task_id", kind="stable").reset_index(drop=True)
    unnamed = path.name.split(".")[0]
    dataset = first_rows["dataset"].where(first_rows["dataset"].notna(), first_rows["domain"])
    domain = first_rows["domain"].where(first_rows["domain"].notna(), first_rows["dataset"])
    remarks = []
    groups = first_rows["group"]
    if groups.isna().any():
        derived, template = _groups(first_rows["task_id"].tolist(), first_rows["prompt"].tolist())
        groups = groups.where(groups.notna(), pd.Series(derived, first_rows.index))
        if template:
            remarks.append(
                f"{template} tasks follow templates (prompts that differ in a word or number): only those with the "
                "same prompt are kept in one split"
            )
    missing = int(first_rows["prompt"].isna().sum())
    if missing == len(first_rows):
        remarks.append("no prompt")
    elif missing:
        remarks.append(
            f"{missing} of {len(first_rows)} tasks lack their prompt, so that no router can read prompts; "
            f"unanswered=drop leaves these tasks out"
        )
    tasks = pd.DataFrame(
        {
            "task_id": first_rows["task_id"],
            "domain": domain.where(domain.notna(), unnamed),
            "dataset": dataset.where(dataset.notna(), unnamed),
            "group": groups,
            "split": first_rows["split"],
            "question": first_rows["prompt"],
            "guess_quality": first_rows["guess_quality"],
        }
    )
    return _split(tasks, path, remarks)


def _read_prices(path: Path, models: Sequence[str]) -> pd.DataFrame:
    if not path.exists():
        raise ImportedError(f"token_prices={path}: no such file; its columns are {', '.join(_PRICES)}")
    rows = read_file(path)
    rows = rows.set_axis([str(name).strip().casefold() for name in rows], axis=1)
    if missing := [name for name in _PRICES if name not in rows]:
        raise ImportedError(f"{path}: column {missing[0]!r} is missing; needed are {', '.join(_PRICES)}")
    prices = pd.DataFrame({"model": texts(rows["model"], "model")})
    for name in _PRICES[1:]:
        prices[name] = numbers(rows[name], name, path)
        refuse(prices[name].isna(), path, f"{name} is missing; a model that costs nothing has the price 0")
    refuse(prices["model"].duplicated(), path, "names a model twice, and one row per model is needed", prices["model"])
    if lacking := [name for name in models if name not in set(prices["model"])]:
        raise ImportedError(f"{path}: has no price of {lacking[0]!r}")
    return prices.set_index("model")


def _groups(task_ids: Sequence[str], prompts: Sequence[str | None]) -> tuple[list[str], int]:
    """Return a group per task, and how many tasks follow templates."""
    with_prompt = [index for index, prompt in enumerate(prompts) if isinstance(prompt, str)]
    texts = [str(prompts[index]) for index in with_prompt]
    first = np.array(group_texts(texts), dtype=int)
    sizes = np.bincount(first, minlength=len(texts)) if len(texts) else np.zeros(0, dtype=int)
    templated = (
        sizes[first] > max(_TEMPLATE_TASKS, _TEMPLATE_SHARE * len(task_ids)) if len(texts) else np.zeros(0, bool)
    )
    by_text: dict[str, int] = {}
    groups = list(task_ids)
    for place, index in enumerate(with_prompt):
        same_text = by_text.setdefault(" ".join(texts[place].split()), place)
        groups[index] = task_ids[with_prompt[same_text if templated[place] else int(first[place])]]
    distinct = len({groups[index] for place, index in enumerate(with_prompt) if templated[place]})
    return groups, int(templated.sum()) if distinct > 1 else 0


def _split(tasks: pd.DataFrame, path: Path, remarks: list[str]) -> tuple[pd.DataFrame, list[str]]:
    if tasks["split"].notna().all():
        spread = tasks.groupby("group")["split"].nunique()
        if (spread > 1).any():
            raise ImportedError(
                f"{path}: column split puts the group of task {spread.idxmax()!r} into {spread.max()} splits; keep "
                "near duplicates together, or leave the column out"
            )
        divided = [_one_of(str(split), str(group)) for split, group in zip(tasks["split"], tasks["group"], strict=True)]
        return tasks.assign(split=divided), remarks
    if tasks["split"].notna().any():
        remarks.append("column split not used: some tasks have none")
    return tasks.assign(split=[split_of(str(group)) for group in tasks["group"]]), remarks


def _one_of(splits: str, group: str) -> str:
    """Return one of the splits that `splits` joins by "+", by a hash of the group, as likely as in every suite."""
    among = splits.split("+")
    if len(among) == 1:
        return splits
    draw = int.from_bytes(hashlib.sha256(f"divided|{group}".encode()).digest()[:8], "big") / 2**64
    shares = [SHARES.get(name, 0.05) for name in among]
    reached = np.cumsum(shares) / sum(shares)
    return among[min(int(np.searchsorted(reached, draw, side="right")), len(among) - 1)]
