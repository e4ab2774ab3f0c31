"""What a call will take: seconds and dollars from tokens by the measured profile, tokens from the recorded outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.models.prices import usd_per_second
from slm_orchestration.tasks.task import Task

_PARAMETERS = ["fixed_s", "prefill_s_per_token", "decode_s_per_token"]


@dataclass(frozen=True)
class Expectation:
    """Per model of the pool: the profile's parameters (models × 3), the price of a device second, tokens to expect.

    `prompt` is models × 2: tokens of a prompt = prompt[:, 0] + prompt[:, 1] · characters. `written` is the mean number
    of tokens of a free answer, which a task's `max_tokens` bounds.
    """

    alone: NDArray[np.float64]
    saturated: NDArray[np.float64]
    usd_per_s: NDArray[np.float64]
    prompt: NDArray[np.float64]
    written: NDArray[np.float64]

    def before_call(self, tasks: Sequence[Task]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return expected seconds and dollars, tasks × models, before any model has seen the prompt."""
        characters = np.array([_characters(task) for task in tasks], dtype=float)
        read = self.prompt[:, 0] + characters[:, None] * self.prompt[:, 1]
        limits = np.array([1.0 if task.choices is not None else task.max_tokens for task in tasks])
        written = np.minimum(limits[:, None], self.written)
        written[[task.choices is not None for task in tasks]] = 1.0
        return self._seconds(self.alone, read, written), self._seconds(self.saturated, read, written) * self.usd_per_s

    def cost_usd(self, model: int, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the dollars of one call: its device seconds in a full batch at the price of a device second."""
        seconds = self.saturated[model] @ np.array([1.0, prompt_tokens, completion_tokens - 1])
        return float(seconds * self.usd_per_s[model])

    def seconds(self, model: int, prompt_tokens: int, completion_tokens: int) -> float:
        """Return what the profile says that one call takes at concurrency one."""
        return float(self.alone[model] @ np.array([1.0, prompt_tokens, completion_tokens - 1]))

    @staticmethod
    def _seconds(profile: NDArray, read: NDArray, written: NDArray) -> NDArray[np.float64]:
        return profile[:, 0] + read * profile[:, 1] + np.maximum(written - 1, 0) * profile[:, 2]


def fit_expectation(
    outcomes: pd.DataFrame, tasks: Sequence[Task], models: Sequence[str], *, profile: pd.DataFrame, prices: pd.DataFrame
) -> Expectation:
    """Fit how many tokens to expect on the fit tasks' OUTCOMES, and take seconds and prices from their tables.

    Raises ValueError if the profile lacks a model or the price table its device.
    """
    rows = profile.set_index(["model", "concurrency"])
    if missing := [model for model in models if (model, "one") not in rows.index]:
        raise ValueError(
            f"the latency profile has no row for {missing[0]!r}; "
            f"`python -m experiments.collect model={missing[0]}` times the model"
        )
    characters = {task.task_id: _characters(task) for task in tasks}
    fit = outcomes[(outcomes["split"] == "fit") & outcomes["quality"].notna()]
    devices = {row["model"]: row for row in profile.to_dict("records") if row["concurrency"] == "saturated"}
    return Expectation(
        alone=np.array([rows.loc[(model, "one"), _PARAMETERS].to_numpy(float) for model in models]),
        saturated=np.array([rows.loc[(model, "saturated"), _PARAMETERS].to_numpy(float) for model in models]),
        usd_per_s=np.array(
            [usd_per_second(prices, devices[model]["device"], int(devices[model]["threads"])) for model in models]
        ),
        prompt=np.array([_prompt_tokens(fit[fit["model"] == model], characters) for model in models]),
        written=np.array([_written(fit[fit["model"] == model]) for model in models]),
    )


def _characters(task: Task) -> int:
    return sum(len(message["content"]) for message in task.messages)


def _prompt_tokens(rows: pd.DataFrame, characters: dict[str, int]) -> tuple[float, float]:
    lengths = np.array([characters[task_id] for task_id in rows["task_id"]], dtype=float)
    tokens = rows["prompt_tokens"].to_numpy(float)
    if len(np.unique(lengths)) < 2:
        return float(tokens.mean()), 0.0
    slope, intercept = np.polyfit(lengths, tokens, 1)
    return max(float(intercept), 0.0), max(float(slope), 0.0)


def _written(rows: pd.DataFrame) -> float:
    free = rows.loc[rows["finish_reason"] != "choice", "completion_tokens"]
    return float(free.mean()) if len(free) else 1.0
