"""What imported outcomes cost, as far as that is known, and which model is the dearest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from slm_orchestration.inference.imported_rows import ImportedError

USD, CALLS = "usd", "calls"
_PRICES = ["model", "usd_per_million_prompt_tokens", "usd_per_million_completion_tokens"]
_MEASURES = {"cost_usd": "costs", "latency_s": "latencies"}


def priced(rows: pd.DataFrame, token_prices: Path | None) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with costs from tokens where they have none and a price list is given, and remarks.

    A measure that some answers lack is null for all: means over different tasks would not compare.
    """
    remarks = []
    if token_prices is not None:
        prices = _read_prices(token_prices, list(rows["model"].unique()))
        prompt, completion = (prices[name].reindex(rows["model"]).to_numpy(float) / 1e6 for name in _PRICES[1:])
        derived = rows["prompt_tokens"] * prompt + rows["completion_tokens"] * completion
        filled = int((rows["cost_usd"].isna() & derived.notna()).sum())
        rows = rows.assign(cost_usd=rows["cost_usd"].fillna(derived))
        remarks.append(f"{filled} costs derived from tokens and {token_prices}")
    for name, words in _MEASURES.items():
        known = rows.groupby("model", sort=False)[name].apply(lambda values: bool(values.notna().all()))
        if known.all():
            continue
        if known.any():
            lacking = [str(model) for model, complete in known.items() if not complete]
            remarks.append(
                f"{words} not used: {len(lacking)} of {len(known)} models lack some, such as {lacking[0]!r}; "
                "models=[...] chooses models that have them"
            )
        elif rows[name].notna().any():
            remarks.append(f"{words} not used: {int(rows[name].isna().sum())} of {len(rows)} answers have none")
        rows = rows.assign(**{name: np.nan})
    return rows, remarks


def cheapest_first(
    rows: pd.DataFrame, tasks: pd.DataFrame, asked: Sequence[str] | None, small: Sequence[str] | None
) -> tuple[list[str], list[str], str, list[str]]:
    """Return the models cheapest first, the small ones, the unit of cost, and remarks.

    By mean dollars where they are known; else in the order asked for, else by mean quality, both on fit tasks. Without
    dollars the unit is calls to models that are not small.
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
        raise ImportedError(f"small={unknown[0]!r} is no model of these outcomes; they are {', '.join(names[:12])}")
    if len(set(small)) == len(models):
        raise ImportedError("small names every model; leave out at least one that small models are compared with")
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


def _read_prices(path: Path, models: Sequence[str]) -> pd.DataFrame:
    if not path.exists():
        raise ImportedError(f"token_prices={path}: no such file; its columns are {', '.join(_PRICES)}")
    prices = pd.read_csv(path)
    if missing := [name for name in _PRICES if name not in prices]:
        raise ImportedError(f"{path}: column {missing[0]!r} is missing; needed are {', '.join(_PRICES)}")
    if prices["model"].duplicated().any() or not (prices[_PRICES[1:]] >= 0).all(axis=None):
        raise ImportedError(f"{path}: needs one row per model, with prices of 0 or more")
    if lacking := [name for name in models if name not in set(prices["model"])]:
        raise ImportedError(f"{path}: has no price of {lacking[0]!r}")
    return prices.set_index("model")
