"""A learned scorer of answers: prompt, answer and confidence in, probability of being right out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.quality_model import QualityModel
from slm_orchestration.routing.router import training


@dataclass
class AnswerScorerRouter:
    """One regression per model on the prompt, the answer's words and length, and its confidence where it is recorded.

    Length is in tokens, or in characters where tokens were not recorded. Source: Chen et al. 2023, FrugalGPT, whose
    scorer is a fine-tuned encoder; this one is linear.
    """

    prompt_vectors: Vectors
    answer_vectors: Vectors
    models: tuple[str, ...] = field(default=(), init=False)
    reads = frozenset({"prompt", "answer:*"})
    uses = frozenset({"answer"})  # what it cannot do without

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the vectors on prompts and on all answers, then a regression per model. Raises NotRecorded."""
        seen = training(outcomes)
        if missing := int(outcomes["answer"].isna().sum()):
            raise NotRecorded(
                f"answer_scorer needs every answer's text, and {missing} answers on fit tasks have none; record the "
                "column answer (output, in imported tables)"
            )
        self._sure = bool(outcomes["confidence"].notna().all())
        self._counted = bool(outcomes["completion_tokens"].notna().all())
        self.models, self._means = seen.models, seen.quality.mean(axis=0)
        prompts = self.prompt_vectors.fit(seen.prompts).transform(seen.prompts)
        self.answer_vectors.fit(seen.answers["answer"])
        self._scorers = []
        for model, name in enumerate(seen.models):
            given = seen.answers[seen.answers["model"] == name]
            features = np.hstack([prompts, self._of_answers(given)])
            self._scorers.append(QualityModel().fit(features, seen.quality[:, model], seen.groups))
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]: the score of a called model's answer, the mean of a model not called."""
        quality = np.tile(self._means, (len(prompts), 1))
        features = self.prompt_vectors.transform(prompts["prompt"])
        for model, name in enumerate(self.models):
            given = answers[answers["model"] == name].sort_values("row")
            if not given.empty:
                quality[:, model] = self._scorers[model].predict(np.hstack([features, self._of_answers(given)]))
        return quality

    def _of_answers(self, given: pd.DataFrame) -> NDArray[np.float64]:
        said = given["answer"].fillna("")
        length = given["completion_tokens"].fillna(0) if self._counted else said.str.len()
        features = [self.answer_vectors.transform(said), np.log1p(length.to_numpy(float))]
        if self._sure:
            features.append(logit(np.clip(given["confidence"].fillna(0.5).to_numpy(float), 1e-6, 1 - 1e-6)))
        return np.column_stack(features)
