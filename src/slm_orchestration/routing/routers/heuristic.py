"""The heuristic router: a hard-coded complexity score of the prompt; nothing is fitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.features import analyse, complexity


@dataclass
class HeuristicRouter:
    """Predict quality 1 for the most expensive model, and less for cheaper ones in proportion to complexity.

    Model m of M (from 0) gets 1 - complexity·(1 - m / (M - 1)). Published routers without training data work like this.
    """

    models: tuple[str, ...] = field(default=(), init=False)
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Keep the pool's models in their order; no label is used."""
        self.models = tuple(outcomes["model"].unique())
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        weakness = 1 - np.arange(len(self.models)) / max(len(self.models) - 1, 1)
        return 1 - complexity(analyse(prompts["prompt"]))[:, None] * weakness
