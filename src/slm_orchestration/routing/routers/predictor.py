"""Routing by one predictor of every model's quality: kinds of requests, or a forest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.predictors import Predictor
from slm_orchestration.routing.router import fit_data


@dataclass
class PredictorRouter:
    """A predictor of `routing.predictors`, fitted on the points of requests."""

    vectors: Vectors
    predictor: Predictor
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the vectors, then the predictor."""
        fit = fit_data(outcomes)
        self.predictor.fit(self.vectors.fit(fit.prompts).transform(fit.prompts), fit.quality, fit.groups)
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray:
        """Return tasks × models in [0, 1]."""
        return self.predictor.predict(self.vectors.transform(prompts["prompt"]))
