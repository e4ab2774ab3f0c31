"""The domain table with the domain predicted from the prompt: routing by topic, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.router import training


@dataclass
class DomainTableRouter:
    """Predict the domain of a prompt, then the mean quality per model, weighted over the domains it may have."""

    vectors: Vectors
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the domain's classifier and the table of mean quality, both on fit tasks."""
        seen = training(outcomes)
        domains = np.unique(seen.domains)
        self._table = np.array([seen.quality[seen.domains == domain].mean(axis=0) for domain in domains])
        features = self.vectors.fit(seen.prompts).transform(seen.prompts)
        self._classifier = _classifier().fit(features, seen.domains) if len(domains) > 1 else None
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        if self._classifier is None:
            return np.tile(self._table[0], (len(prompts), 1))
        probability = self._classifier.predict_proba(self.vectors.transform(prompts["prompt"]))
        return np.clip(probability @ self._table, 0.0, 1.0)


def _classifier() -> LogisticRegression:
    # Newton steps end at the optimum itself; a quasi-Newton path ends where rounding lets it.
    return LogisticRegression(solver="newton-cholesky", tol=1e-10)
