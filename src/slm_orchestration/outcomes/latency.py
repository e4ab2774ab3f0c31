"""The latency profile: seconds of a call from its tokens, fitted on measured calls, with its error on held-out ones.

seconds = fixed_s + prefill_s_per_token · prompt_tokens + decode_s_per_token · (completion_tokens − 1)

One row per model and concurrency: "one" is a call alone on the device, which is what a user waits for; "saturated" is
a call's share of a full batch, which is what the device spends on it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls
from tqdm import tqdm

from slm_orchestration.artifacts import replacing
from slm_orchestration.models.model import Model
from slm_orchestration.models.prices import usd_per_second
from slm_orchestration.tasks.task import Task

COLUMNS = [
    *("model", "concurrency", "fixed_s", "prefill_s_per_token", "decode_s_per_token"),
    *("training_calls", "heldout_calls", "heldout_error", "measured_on", "load_before"),
    *("device", "threads", "processor", "dtype", "torch", "transformers"),
]
_TERMS = ["calls", "prompt_tokens", "later_tokens"]
_PARAMETERS = ["fixed_s", "prefill_s_per_token", "decode_s_per_token"]
# Half of the calls are choices, of one token; the others write up to so many, in turn.
_ONE_AT_A_TIME, _WRITTEN = 28, (8, 32, 16, 48)
# Where in the tasks, sorted by length, a full batch is taken from, and how many tokens it writes; the last two are
# held out.
_BATCHES = ((0.1, 1), (0.9, 1), (0.1, 8), (0.9, 8), (0.2, 32), (0.8, 32), (0.5, 1), (0.5, 16))


def measure(model: Model, tasks: Sequence[Task], *, rows: int, seed: int) -> pd.DataFrame:
    """Return measured calls: concurrency, calls, prompt_tokens, later_tokens, seconds, held_out.

    `rows` is the size of a full batch. The tasks only lend their prompts: each is asked as a choice or for a free
    answer of bounded length, so that prompt and answer lengths vary independently.
    """
    lengths = model.prompt_lengths(tasks)
    by_length = [tasks[place] for place in sorted(range(len(tasks)), key=lambda place: (lengths[place], place))]
    middle = by_length[len(by_length) // 20 : len(by_length) - len(by_length) // 20]
    groups = [("one", [task], number % 7 in (2, 5)) for number, task in enumerate(_spread(middle))]
    for number, (where, written) in enumerate(_BATCHES):
        start = round(where * max(len(middle) - rows, 0))
        batch = [_shaped(task, written) for task in middle[start : start + rows]]
        groups.append(("saturated", batch, number >= len(_BATCHES) - 2))
    model.complete(groups[0][1], seed=seed)  # the first call of a process also pays for loading and warming up
    measured = []
    for concurrency, group, held_out in tqdm(groups, desc=f"timing {model.name}", unit="call", disable=None):
        started = time.perf_counter()
        completions = model.complete(group, seed=seed)
        seconds = time.perf_counter() - started
        read = sum(completion.prompt_tokens for completion in completions)
        later = sum(completion.completion_tokens - 1 for completion in completions)
        measured.append((concurrency, len(group), read, later, seconds, held_out))
    return pd.DataFrame(measured, columns=["concurrency", *_TERMS, "seconds", "held_out"])


def fit(calls: pd.DataFrame) -> dict[str, float | int]:
    """Return the profile's parameters, by non-negative least squares on relative error, and their held-out error.

    `heldout_error` is the median absolute error of held-out calls as a share of their measured seconds.
    """
    training, held_out = calls[~calls["held_out"]], calls[calls["held_out"]]
    # Dividing by the measured seconds makes an error of a tenth count the same for a short call and a long one.
    scaled = training[_TERMS].to_numpy(float) / training[["seconds"]].to_numpy()
    parameters, _ = nnls(scaled, np.ones(len(training)))
    predicted = held_out[_TERMS].to_numpy(float) @ parameters
    errors = np.abs(predicted - held_out["seconds"].to_numpy()) / held_out["seconds"].to_numpy()
    return {
        **dict(zip(_PARAMETERS, parameters.tolist(), strict=True)),
        "training_calls": len(training),
        "heldout_calls": len(held_out),
        "heldout_error": float(np.median(errors)),
    }


def price(outcomes: pd.DataFrame, profile: pd.DataFrame, prices: pd.DataFrame) -> pd.DataFrame:
    """Return OUTCOMES with latency_s, device_s and cost_usd modelled from tokens; failed calls keep nulls.

    Raises ValueError if the profile lacks a model, or the price table its device.
    """
    priced = outcomes.copy()
    answered = priced["completion_tokens"].notna()
    for model in priced.loc[answered, "model"].unique():
        rows = answered & (priced["model"] == model)
        alone, saturated = (_profile_row(profile, model, concurrency) for concurrency in ("one", "saturated"))
        priced.loc[rows, "latency_s"] = _seconds(priced[rows], alone)
        priced.loc[rows, "latency_source"] = "modelled"
        priced.loc[rows, "device_s"] = _seconds(priced[rows], saturated)
        rate = usd_per_second(prices, saturated["device"], int(saturated["threads"]))
        priced.loc[rows, "cost_usd"] = priced.loc[rows, "device_s"] * rate
    return priced


def read_profile(path: Path) -> pd.DataFrame:
    """Return the latency profile, empty if none was measured yet."""
    return (
        pd.read_csv(path, dtype={"torch": str, "transformers": str}) if path.exists() else pd.DataFrame(columns=COLUMNS)
    )


def write_profile(profile: pd.DataFrame, path: Path) -> None:
    """Write the latency profile, sorted, so that equal profiles give equal bytes."""
    with replacing(path) as temporary:
        profile[COLUMNS].sort_values(["model", "concurrency"]).to_csv(temporary, index=False, lineterminator="\n")


def _spread(by_length: Sequence[Task]) -> list[Task]:
    places = np.linspace(0, len(by_length) - 1, min(_ONE_AT_A_TIME, len(by_length))).round().astype(int)
    written = [_WRITTEN[number // 2 % len(_WRITTEN)] if number % 2 else 1 for number in range(len(places))]
    return [_shaped(by_length[place], count) for place, count in zip(places, written, strict=True)]


def _shaped(task: Task, written: int) -> Task:
    return replace(task, choices=["A", "B"] if written == 1 else None, max_tokens=written)


def _profile_row(profile: pd.DataFrame, model: str, concurrency: str) -> pd.Series:
    rows = profile[(profile["model"] == model) & (profile["concurrency"] == concurrency)]
    if len(rows) != 1:
        raise ValueError(
            f"the latency profile has {len(rows)} rows for {model} at concurrency {concurrency}, not one; "
            f"remove them, if any, and run `python -m experiments.collect model={model}`, which times the model"
        )
    return rows.iloc[0]


def _seconds(outcomes: pd.DataFrame, row: pd.Series) -> NDArray[np.float64]:
    terms = np.column_stack([np.ones(len(outcomes)), outcomes["prompt_tokens"], outcomes["completion_tokens"] - 1])
    return terms.astype(float) @ row[_PARAMETERS].to_numpy(float)
