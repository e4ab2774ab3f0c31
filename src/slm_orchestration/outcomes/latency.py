"""The latency profile: seconds of a call from its tokens, fitted on measured calls, with its error on held-out ones.

seconds = fixed_s + prefill_s_per_token · prompt_tokens + decode_s_per_token · (completion_tokens − 1)

One row per model and concurrency: "one" is a single call on an idle device, which is what a user waits for;
"saturated" is a call's share of a full batch, which is what the device spends on it and what is priced. `Expectation`
predicts seconds and dollars of a call before it is made, from the profile and from the recorded token counts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
# Half of the single calls are choices, of one completion token; the others cycle through these limits.
_SINGLE_CALLS, _COMPLETION_TOKENS = 28, (8, 32, 16, 48)
# Of each full batch: its position in the tasks sorted by length (a share), and its completion tokens. The last two
# batches are held out.
_BATCHES = ((0.1, 1), (0.9, 1), (0.1, 8), (0.9, 8), (0.2, 32), (0.8, 32), (0.5, 1), (0.5, 16))


def measure_calls(model: Model, tasks: Sequence[Task], *, rows: int, seed: int) -> pd.DataFrame:
    """Return measured calls: concurrency, calls, prompt_tokens, later_tokens, seconds, held_out.

    `rows` is the size of a full batch. Only the prompts of the tasks are used: each is asked as a choice or for a free
    answer of bounded length, so that prompt and answer lengths vary independently.
    """
    lengths = model.prompt_lengths(tasks)
    by_length = [tasks[index] for index in sorted(range(len(tasks)), key=lambda index: (lengths[index], index))]
    middle = by_length[len(by_length) // 20 : len(by_length) - len(by_length) // 20]
    groups = [("one", [task], number % 7 in (2, 5)) for number, task in enumerate(_single_calls(middle))]
    for number, (share, completion_tokens) in enumerate(_BATCHES):
        start = round(share * max(len(middle) - rows, 0))
        batch = [_with_answer_length(task, completion_tokens) for task in middle[start : start + rows]]
        groups.append(("saturated", batch, number >= len(_BATCHES) - 2))
    model.complete(groups[0][1], seed=seed)  # the first call of a process also pays for loading and warming up
    measured = []
    for concurrency, group, held_out in tqdm(groups, desc=f"timing {model.name}", unit="call", disable=None):
        started = time.perf_counter()
        completions = model.complete(group, seed=seed)
        seconds = time.perf_counter() - started
        prompt_tokens = sum(completion.prompt_tokens for completion in completions)
        later_tokens = sum(completion.completion_tokens - 1 for completion in completions)
        measured.append((concurrency, len(group), prompt_tokens, later_tokens, seconds, held_out))
    return pd.DataFrame(measured, columns=["concurrency", *_TERMS, "seconds", "held_out"])


def fit_profile(calls: pd.DataFrame) -> dict[str, float | int]:
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


def price_outcomes(outcomes: pd.DataFrame, profile: pd.DataFrame, prices: pd.DataFrame) -> pd.DataFrame:
    """Return OUTCOMES with latency_s, device_s and cost_usd modelled from tokens.

    Failed calls keep nulls, and rows whose latency_source is "measured" keep their own values.

    Raises ValueError if the profile lacks a model, or the price table its device.
    """
    priced = outcomes.copy()
    answered = priced["completion_tokens"].notna()
    if "latency_source" in priced:
        answered &= priced["latency_source"] != "measured"
    for model in priced.loc[answered, "model"].unique():
        rows = answered & (priced["model"] == model)
        single, saturated = (_profile_row(profile, model, concurrency) for concurrency in ("one", "saturated"))
        priced.loc[rows, "latency_s"] = _seconds(priced[rows], single)
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


@dataclass(frozen=True)
class Expectation:
    """What a call is expected to take before it is made, per model of the pool.

    `single` and `saturated` are the profile's parameters (models × 3), `usd_per_s` is the price of a device second.
    `prompt` is models × 2: prompt tokens = prompt[:, 0] + prompt[:, 1] · characters. `free_tokens` is the mean number
    of completion tokens of a free answer, which a task's `max_tokens` bounds.
    """

    single: NDArray[np.float64]
    saturated: NDArray[np.float64]
    usd_per_s: NDArray[np.float64]
    prompt: NDArray[np.float64]
    free_tokens: NDArray[np.float64]

    def before_call(self, tasks: Sequence[Task]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return expected seconds (of a single call) and dollars, each tasks × models."""
        characters = np.array([_characters(task) for task in tasks], dtype=float)
        prompt_tokens = self.prompt[:, 0] + characters[:, None] * self.prompt[:, 1]
        limits = np.array([1.0 if task.choices is not None else task.max_tokens for task in tasks])
        completion_tokens = np.minimum(limits[:, None], self.free_tokens)
        completion_tokens[[task.choices is not None for task in tasks]] = 1.0
        single, saturated = (
            parameters[:, 0]
            + prompt_tokens * parameters[:, 1]
            + np.maximum(completion_tokens - 1, 0) * parameters[:, 2]
            for parameters in (self.single, self.saturated)
        )
        return single, saturated * self.usd_per_s

    def cost_usd(self, model: int, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the dollars of one call: its device seconds in a full batch at the price of a device second."""
        seconds = self.saturated[model] @ np.array([1.0, prompt_tokens, completion_tokens - 1])
        return float(seconds * self.usd_per_s[model])


def fit_expectation(
    outcomes: pd.DataFrame, tasks: Sequence[Task], models: Sequence[str], *, profile: pd.DataFrame, prices: pd.DataFrame
) -> Expectation:
    """Fit the token counts to expect on the OUTCOMES of fit tasks; take seconds and prices from their tables.

    Raises ValueError if the profile lacks a model or the price table its device.
    """
    singles, saturated = ([_profile_row(profile, model, name) for model in models] for name in ("one", "saturated"))
    characters = {task.task_id: _characters(task) for task in tasks}
    fit = outcomes[(outcomes["split"] == "fit") & outcomes["quality"].notna()]
    return Expectation(
        single=np.array([row[_PARAMETERS].to_numpy(float) for row in singles]),
        saturated=np.array([row[_PARAMETERS].to_numpy(float) for row in saturated]),
        usd_per_s=np.array([usd_per_second(prices, row["device"], int(row["threads"])) for row in saturated]),
        prompt=np.array([_prompt_tokens(fit[fit["model"] == model], characters) for model in models]),
        free_tokens=np.array([_free_tokens(fit[fit["model"] == model]) for model in models]),
    )


def _single_calls(by_length: Sequence[Task]) -> list[Task]:
    """Return tasks spread evenly over the prompt lengths, in turn as a choice and as a free answer."""
    indices = np.linspace(0, len(by_length) - 1, min(_SINGLE_CALLS, len(by_length))).round().astype(int)
    return [
        _with_answer_length(
            by_length[index], _COMPLETION_TOKENS[number // 2 % len(_COMPLETION_TOKENS)] if number % 2 else 1
        )
        for number, index in enumerate(indices)
    ]


def _with_answer_length(task: Task, completion_tokens: int) -> Task:
    return replace(task, choices=["A", "B"] if completion_tokens == 1 else None, max_tokens=completion_tokens)


def _profile_row(profile: pd.DataFrame, model: str, concurrency: str) -> pd.Series:
    rows = profile[(profile["model"] == model) & (profile["concurrency"] == concurrency)]
    if len(rows) != 1:
        raise ValueError(
            f"the latency profile has {len(rows)} rows for {model} at concurrency {concurrency}, not one; time it on "
            f"its machine with `python -m experiments.collect inference=live only=profile model={model}`"
        )
    return rows.iloc[0]


def _seconds(outcomes: pd.DataFrame, row: pd.Series) -> NDArray[np.float64]:
    # Element by element: a matrix product rounds differently from machine to machine, and costs decide choices.
    fixed, prefill, decode = row[_PARAMETERS].to_numpy(float)
    prompt, later = (outcomes[name].to_numpy(float) for name in ("prompt_tokens", "completion_tokens"))
    return np.asarray(fixed + prefill * prompt + decode * (later - 1))


def _characters(task: Task) -> int:
    return sum(len(message["content"]) for message in task.messages)


def _prompt_tokens(rows: pd.DataFrame, characters: dict[str, int]) -> tuple[float, float]:
    """Return intercept and slope of prompt tokens on characters, by least squares, neither below 0."""
    lengths = np.array([characters[task_id] for task_id in rows["task_id"]], dtype=float)
    tokens = rows["prompt_tokens"].to_numpy(float)
    if len(np.unique(lengths)) < 2:
        return float(tokens.mean()), 0.0
    slope, intercept = np.polyfit(lengths, tokens, 1)
    return max(float(intercept), 0.0), max(float(slope), 0.0)


def _free_tokens(rows: pd.DataFrame) -> float:
    free = rows.loc[rows["finish_reason"] != "choice", "completion_tokens"]
    return float(free.mean()) if len(free) else 1.0
