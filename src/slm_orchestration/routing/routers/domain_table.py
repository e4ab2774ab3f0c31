"""The domain table with the domain predicted from the prompt: routing by topic only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.router import fit_data


@dataclass
class DomainTableRouter:
    """Predict domain probabilities from the prompt, and the mean quality per model weighted by them.

    Without `exact`, the classifier is fitted by a quasi-Newton method: minutes faster for dozens of domains, but its
    last digits differ between machines.
    """

    vectors: Vectors
    exact: bool = True
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the domain classifier and the table of mean quality per domain and model."""
        fit = fit_data(outcomes)
        domains = np.unique(fit.domains)
        self._table = np.array([fit.quality[fit.domains == domain].mean(axis=0) for domain in domains])
        features = self.vectors.fit(fit.prompts).transform(fit.prompts)
        self._classifier = _classifier(exact=self.exact).fit(features, fit.domains) if len(domains) > 1 else None
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        if self._classifier is None:
            return np.tile(self._table[0], (len(prompts), 1))
        probability = self._classifier.predict_proba(self.vectors.transform(prompts["prompt"]))
        return np.clip(probability @ self._table, 0.0, 1.0)


def _classifier(*, exact: bool) -> LogisticRegression:
    # Newton's method reaches the optimum exactly; quasi-Newton results differ between machines.
    return LogisticRegression(solver="newton-cholesky", tol=1e-10) if exact else LogisticRegression(max_iter=300)
