"""Regressions on the request before the first call, and after an answer also on its confidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.router import fit_data


@dataclass
class ConfidenceRegressionRouter:
    """Predict each model's quality from the prompt; after an answer, from the prompt and the answer's confidence.

    A called model's predicted quality is its confidence. That of a more expensive one comes from a regression on the
    task features and the confidence of the last answer, as tasks that one model fails are often hard for the next.
    Answers of a model whose confidence is missing on some fit task are not read; without any, the router reads prompts
    only.
    """

    vectors: Vectors
    models: tuple[str, ...] = field(default=(), init=False)
    reads: frozenset[str] = field(default=frozenset({"prompt", "answer:*"}), init=False, repr=False)
    uses: ClassVar[frozenset[str]] = frozenset()  # confidence is optional

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit a regression per model on prompts, and one per pair (answered, more expensive) with confidence."""
        fit = fit_data(outcomes)
        self.models, width = fit.models, len(fit.models)
        features = self.vectors.fit(fit.prompts).transform(fit.prompts)
        self._before = [LogisticQuality().fit(features, fit.quality[:, model], fit.groups) for model in range(width)]
        with_confidence = [model for model in range(width) if not np.isnan(fit.confidence[:, model]).any()]
        self.reads = frozenset({"prompt", *(f"answer:{fit.models[model]}" for model in with_confidence)})
        self._after = {
            (answered, larger): LogisticQuality().fit(
                _with(features, fit.confidence[:, answered]), fit.quality[:, larger], fit.groups
            )
            for answered in with_confidence
            for larger in range(answered + 1, width)
        }
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        features = self.vectors.transform(prompts["prompt"])
        quality = np.column_stack([model.predict(features) for model in self._before])
        if answers.empty:
            return quality
        for answered, name in enumerate(self.models):
            rows = answers[(answers["model"] == name) & answers["confidence"].notna()]
            if rows.empty:
                continue
            row, confidence = rows["row"].to_numpy(), rows["confidence"].to_numpy(float)
            quality[row, answered] = confidence
            for larger in range(answered + 1, len(self.models)):
                quality[row, larger] = self._after[answered, larger].predict(_with(features[row], confidence))
        return quality


def _with(features: NDArray, confidence: NDArray) -> NDArray[np.float64]:
    return np.column_stack([features, logit(np.clip(confidence, 1e-6, 1 - 1e-6))])
