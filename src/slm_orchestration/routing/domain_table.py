"""The domain table with the domain predicted from the prompt: routing by topic, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from slm_orchestration.routing.features import analyse
from slm_orchestration.routing.prompt_vectors import PromptVectors


@dataclass
class DomainTableRouter:
    """Predict the domain of a prompt, then the mean quality per model, weighted over the domains it may have."""

    dimensions: int
    seed: int
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the domain's classifier and the table of mean quality, both on fit tasks."""
        first = outcomes[outcomes["model"] == outcomes["model"].iloc[0]]
        self.vectors = PromptVectors(dimensions=self.dimensions, seed=self.seed).fit(first["prompt"])
        features = self._features(first["prompt"])
        self.centre, self.spread = features.mean(axis=0), features.std(axis=0) + 1e-9
        self.classifier = LogisticRegression(C=1.0, max_iter=2000)
        self.one_domain = first["domain"].nunique() == 1
        if not self.one_domain:
            self.classifier.fit((features - self.centre) / self.spread, first["domain"])
        means = outcomes.groupby(["domain", "model"], sort=False)["quality"].mean().unstack("model")
        self.table = means.sort_index()[list(outcomes["model"].unique())].to_numpy(float)
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        if self.one_domain:
            return np.tile(self.table[0], (len(prompts), 1))
        features = (self._features(prompts["prompt"]) - self.centre) / self.spread
        return np.clip(self.classifier.predict_proba(features) @ self.table, 0.0, 1.0)

    def _features(self, prompts: pd.Series) -> NDArray[np.float64]:
        return np.hstack([analyse(prompts).to_numpy(float), self.vectors.transform(prompts)])
