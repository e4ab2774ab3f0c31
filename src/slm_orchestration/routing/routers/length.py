"""The length router: longer prompts go to larger models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.router import training


@dataclass
class LengthRouter:
    """Predict that cheaper models fail in proportion to a prompt's rank in length among the fit tasks; label-free."""

    models: tuple[str, ...] = field(default=(), init=False)
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Note the pool's models and the lengths of the fit prompts."""
        seen = training(outcomes)
        self.models, self._lengths = seen.models, np.sort(seen.prompts.str.len())
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        rank = np.searchsorted(self._lengths, prompts["prompt"].str.len()) / len(self._lengths)
        weakness = 1 - np.arange(len(self.models)) / max(len(self.models) - 1, 1)
        return 1 - rank[:, None] * weakness
