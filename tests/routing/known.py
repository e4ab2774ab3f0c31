"""A router that predicts what it is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Known:
    """Predicts `before`, tasks × models; of models that were called, `after` where it is given."""

    before: np.ndarray
    after: np.ndarray | None = None
    reads: frozenset = frozenset({"prompt"})

    def fit(self, outcomes):
        return self

    def predict_quality(self, prompts, answers):
        quality = np.array(self.before, dtype=float)
        if self.after is not None and len(answers):
            models = {name: index for index, name in enumerate(("small", "middle", "large"))}
            column = answers["model"].map(models).to_numpy()
            quality[answers["row"], column] = np.asarray(self.after)[answers["row"], column]
        return quality
