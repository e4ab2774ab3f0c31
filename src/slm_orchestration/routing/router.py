"""The protocol that every router follows, and the outcomes that a router is fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Router(Protocol):
    """Predicts the quality of each model's answer.

    `reads` declares the router's inputs, in the words of `routing.access`: prompt, answer:<model>, state:<model>,
    samples:<model>:<k>. Replay hands it nothing else and charges for each read. `reads` may change with `fit`.
    """

    @property
    def reads(self) -> frozenset[str]: ...

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Return this router fitted on the outcomes of fit tasks, a table made by `access.fit_table`."""
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
    """A router with a setting that is chosen on calibration tasks after the fit."""

    def tune(self, outcomes: pd.DataFrame) -> Self:
        """Return the fitted router tuned on the outcomes of calibration tasks."""
        ...


@dataclass(frozen=True)
class FitData:
    """Outcomes of fit tasks as arrays: prompts, groups and domains per task; quality and confidence as tasks × models.

    A confidence that was not recorded is NaN. `answers` is the table that `Router.fit` received. `states` is
    tasks × dimensions, or None where the router reads none.
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


def fit_data(outcomes: pd.DataFrame) -> FitData:
    """Return the table that `Router.fit` receives as arrays. Raises ValueError if it is empty."""
    models = tuple(outcomes["model"].unique())
    if not models:
        raise ValueError("there is no fit task to fit a router on")
    first = outcomes[outcomes["model"] == models[0]]
    shape = (len(first), len(models))
    return FitData(
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
