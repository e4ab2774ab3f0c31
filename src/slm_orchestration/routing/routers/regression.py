"""Quality predicted from the prompt by one regression per model: logistic or gradient-boosted."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.quality_model import QualityModel
from slm_orchestration.routing.router import fit_data


@dataclass
class RegressionRouter:
    """One copy of `regression` per model, fitted on the prompts' vectors."""

    vectors: Vectors
    regression: QualityModel
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the vectors, then a copy of the regression for each model."""
        fit = fit_data(outcomes)
        features = self.vectors.fit(fit.prompts).transform(fit.prompts)
        self._fitted = [copy.deepcopy(self.regression).fit(features, quality, fit.groups) for quality in fit.quality.T]
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        features = self.vectors.transform(prompts["prompt"])
        return np.column_stack([regression.predict(features) for regression in self._fitted])
