"""A router that predicts what it is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Known:
    """Predicts `before`, tasks × models, of the task whose number is in its prompt; of called models, `after` if given.

    A router gets tasks in no known order, so that it must know them by what it reads.
    """

    before: np.ndarray
    after: np.ndarray | None = None
    reads: frozenset = frozenset({"prompt"})

    def fit(self, outcomes):
        return self

    def predict_quality(self, prompts, answers):
        task = prompts["prompt"].str.extract(r"(\d+)", expand=False).astype(int).to_numpy()
        quality = np.array(self.before, dtype=float)[task]
        if self.after is not None and len(answers):
            models = {name: index for index, name in enumerate(("small", "middle", "large"))}
            row, column = answers["row"].to_numpy(), answers["model"].map(models).to_numpy()
            quality[row, column] = np.asarray(self.after)[task[row], column]
        return quality
