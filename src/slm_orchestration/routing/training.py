"""The outcomes that a router is fitted on, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


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
