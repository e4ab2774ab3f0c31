"""The router that `own_model_and_router.ipynb` adds: does a prompt hold digits?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass
class DigitsRouter:
    """Predict each model's mean quality on the fit tasks whose prompts hold digits, or on those whose do not."""

    quality: pd.DataFrame = field(default_factory=pd.DataFrame, init=False)
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Average over the fit tasks; a kind of prompt that they lack is predicted the mean of all."""
        table = outcomes.assign(digits=_holds_digits(outcomes))
        means = table.pivot_table(index="digits", columns="model", values="quality", sort=False)
        order = list(dict.fromkeys(outcomes["model"]))
        overall = table.groupby("model")["quality"].mean()
        self.quality = means.reindex(index=[0, 1], columns=order).fillna(overall)
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        return self.quality.to_numpy()[_holds_digits(prompts)]


def _holds_digits(prompts: pd.DataFrame) -> NDArray[np.int64]:
    return prompts["prompt"].str.contains(r"\d").to_numpy(dtype=np.int64)
