"""The adaptive router: task analysis before any answer, confidence once a model has answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.features import analyse
from slm_orchestration.routing.prompt_vectors import PromptVectors
from slm_orchestration.routing.quality_model import QualityModel


@dataclass
class AdaptiveRouter:
    """Predict each model's quality from the prompt; after an answer, from the prompt and the answer's confidence.

    A called model's quality is its confidence. That of a larger one is predicted by a model fitted on the task features
    and the confidence of the last answer, so that an easy task looks easy for both.
    """

    dimensions: int
    seed: int
    reads = frozenset({"prompt", "answer:*"})
    models: tuple[str, ...] = field(default=(), init=False)

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit one regression per model on prompts, and one per pair (answered, larger) on prompts and confidence."""
        self.models = tuple(outcomes["model"].unique())
        width = len(self.models)
        first = outcomes[outcomes["model"] == self.models[0]]
        self.vectors = PromptVectors(dimensions=self.dimensions, seed=self.seed).fit(first["prompt"])
        features, groups = self._features(first["prompt"]), first["group"].to_numpy()
        quality = outcomes["quality"].to_numpy(float).reshape(-1, width)
        confidence = outcomes["confidence"].to_numpy(float).reshape(-1, width)
        self.before = [QualityModel().fit(features, quality[:, model], groups) for model in range(width)]
        self.after = {
            (answered, larger): QualityModel().fit(_with(features, confidence[:, answered]), quality[:, larger], groups)
            for answered in range(width)
            for larger in range(answered + 1, width)
        }
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        features = self._features(prompts["prompt"])
        quality = np.column_stack([model.predict(features) for model in self.before])
        for answered, name in enumerate(self.models):
            given = answers.loc[answers["model"] == name]
            if given.empty:
                continue
            confidence = given.sort_values("row")["confidence"].to_numpy(float)
            quality[:, answered] = confidence
            for larger in range(answered + 1, len(self.models)):
                quality[:, larger] = self.after[answered, larger].predict(_with(features, confidence))
        return quality

    def _features(self, prompts: pd.Series) -> NDArray[np.float64]:
        return np.hstack([analyse(prompts).to_numpy(float), self.vectors.transform(prompts)])


def _with(features: NDArray, confidence: NDArray) -> NDArray[np.float64]:
    logit = np.log(confidence) - np.log1p(-confidence)
    return np.column_stack([features, logit])
