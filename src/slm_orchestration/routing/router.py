"""What every router looks like to rules and replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Router(Protocol):
    """Predicts how good each model's answer will be.

    `reads` declares what it looks at, in the words of routing.reads: the prompt, answers and samples of models that
    were called, states. Replay hands it nothing else, and each read is paid for. It may depend on what `fit` saw.
    """

    @property
    def reads(self) -> frozenset[str]: ...

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Return this router fitted on the outcomes of fit tasks."""
        ...

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1].

        `prompts` has a row per task and the columns prompt and state, as far as they are read. `answers` has a row per
        task and model already called, with the columns row (position in `prompts`), model, answer, confidence, signals,
        completion_tokens, finish_reason, and samples if they are read; it is empty before the first call.
        """
        ...


@runtime_checkable
class Tunable(Protocol):
    """A router that chooses something on calibration tasks, once it is fitted."""

    def tune(self, outcomes: pd.DataFrame) -> Self:
        """Return the fitted router tuned on the outcomes of calibration tasks."""
        ...


# ========== The outcomes that a router is fitted on, side by side.
@dataclass(frozen=True)
class Training:
    """Fit tasks as rows: prompts, groups and domains per task; quality and confidence as tasks × models.

    A confidence that was not recorded is NaN. `states` is tasks × dimensions, or None where the router reads none.
    """

    models: tuple[str, ...]
    prompts: pd.Series
    groups: NDArray
    domains: NDArray
    quality: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    confidence: NDArray[np.float64]
    answers: pd.DataFrame
    states: NDArray[np.float64] | None


def training(outcomes: pd.DataFrame) -> Training:
    """Return the table that `Router.fit` receives (a row per task and model, task by task) side by side."""
    models = tuple(outcomes["model"].unique())
    if not models:
        raise ValueError("there is no fit task to fit a router on")
    first = outcomes[outcomes["model"] == models[0]]
    shape = (len(first), len(models))
    return Training(
        models=models,
        prompts=first["prompt"].reset_index(drop=True),
        groups=first["group"].to_numpy(),
        domains=first["domain"].to_numpy(),
        quality=outcomes["quality"].to_numpy(float).reshape(shape),
        cost_usd=outcomes["cost_usd"].to_numpy(float).reshape(shape),
        confidence=outcomes["confidence"].to_numpy(float).reshape(shape),
        answers=outcomes,
        states=np.stack(first["state"].to_list()).astype(float) if "state" in first else None,
    )
