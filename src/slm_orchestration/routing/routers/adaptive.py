"""The adaptive router: task analysis before any answer, confidence once a model has answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.quality_model import QualityModel
from slm_orchestration.routing.router import training


@dataclass
class AdaptiveRouter:
    """Predict each model's quality from the prompt; after an answer, from the prompt and the answer's confidence.

    A called model's quality is its confidence. That of a larger one is predicted by a model fitted on the task features
    and the confidence of the last answer, so that an easy task looks easy for both. Answers of models whose confidence
    was not recorded on every fit task are not read; where that is all of them, one model is chosen from the prompt.
    """

    vectors: Vectors
    models: tuple[str, ...] = field(default=(), init=False)
    reads: frozenset[str] = field(default=frozenset({"prompt", "answer:*"}), init=False, repr=False)
    uses: ClassVar[frozenset[str]] = frozenset()  # what it cannot do without

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit one regression per model on prompts, and one per pair (answered, larger) on prompts and confidence."""
        seen = training(outcomes)
        self.models, width = seen.models, len(seen.models)
        features = self.vectors.fit(seen.prompts).transform(seen.prompts)
        self._before = [QualityModel().fit(features, seen.quality[:, model], seen.groups) for model in range(width)]
        sure = [model for model in range(width) if not np.isnan(seen.confidence[:, model]).any()]
        self.reads = frozenset({"prompt", *(f"answer:{seen.models[model]}" for model in sure)})
        self._after = {
            (answered, larger): QualityModel().fit(
                _with(features, seen.confidence[:, answered]), seen.quality[:, larger], seen.groups
            )
            for answered in sure
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
            given = answers[(answers["model"] == name) & answers["confidence"].notna()]
            if given.empty:
                continue
            row, confidence = given["row"].to_numpy(), given["confidence"].to_numpy(float)
            quality[row, answered] = confidence
            for larger in range(answered + 1, len(self.models)):
                quality[row, larger] = self._after[answered, larger].predict(_with(features[row], confidence))
        return quality


def _with(features: NDArray, confidence: NDArray) -> NDArray[np.float64]:
    return np.column_stack([features, logit(np.clip(confidence, 1e-6, 1 - 1e-6))])
