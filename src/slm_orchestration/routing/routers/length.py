"""The length router: longer prompts go to more expensive models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.router import fit_data


@dataclass
class LengthRouter:
    """Predict less quality for cheaper models in proportion to a prompt's rank in length among fit tasks; no labels."""

    models: tuple[str, ...] = field(default=(), init=False)
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Keep the pool's models and the lengths of the fit prompts."""
        fit = fit_data(outcomes)
        self.models, self._lengths = fit.models, np.sort(fit.prompts.str.len())
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        rank = np.searchsorted(self._lengths, prompts["prompt"].str.len()) / len(self._lengths)
        weakness = 1 - np.arange(len(self.models)) / max(len(self.models) - 1, 1)
        return 1 - rank[:, None] * weakness
