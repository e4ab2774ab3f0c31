"""The confidence router: each called model's own calibrated probability of being right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import NotRecorded


@dataclass
class ConfidenceRouter:
    """Predict a called model's quality by its confidence, and that of the others by their mean on fit tasks."""

    mean_quality: pd.Series | None = field(default=None, init=False)
    reads = frozenset({"answer:*"})
    uses = frozenset({"confidence"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Take each model's mean quality, in the order of the pool. Raises NotRecorded if confidences are missing."""
        require_confidence(outcomes, "confidence")
        self.mean_quality = outcomes.groupby("model", sort=False)["quality"].mean()
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        if self.mean_quality is None:
            raise ValueError("the confidence router must be fitted before it predicts")
        quality = np.tile(self.mean_quality.to_numpy(float), (len(prompts), 1))
        for model, rows in answers.groupby("model", sort=False):
            known = rows[rows["confidence"].notna()]
            column = self.mean_quality.index.get_loc(model)
            quality[known["row"].to_numpy(), column] = known["confidence"].to_numpy(float)
        return quality


def require_confidence(outcomes: pd.DataFrame, strategy: str) -> None:
    """Raise NotRecorded if a model other than the most expensive one has no confidence on some fit task."""
    but_last = outcomes[outcomes["model"] != outcomes["model"].iloc[-1]]
    missing = but_last[but_last["confidence"].isna()]
    if len(missing):
        raise NotRecorded(
            f"{strategy} needs the confidence of every answer, and {len(missing)} answers on fit tasks have none, "
            f"first of {missing['model'].iloc[0]!r}; record the column signals (log-probabilities, as "
            "experiments.collect does) or confidence"
        )
