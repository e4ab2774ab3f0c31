"""A learned scorer of answers: the probability that an answer is right, from prompt, answer and confidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.router import fit_data


@dataclass
class AnswerScorerRouter:
    """One regression per model on the prompt, the answer's words and length, and its confidence if it is recorded.

    Length is in completion tokens, or in characters if these are not recorded. Source: Chen et al. 2023, FrugalGPT,
    whose scorer is a fine-tuned encoder; this one is linear.
    """

    prompt_vectors: Vectors
    answer_vectors: Vectors
    models: tuple[str, ...] = field(default=(), init=False)
    reads = frozenset({"prompt", "answer:*"})
    uses = frozenset({"answer"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the vectors on prompts and on all answers, then a regression per model.

        Raises NotRecorded if an answer has no text.
        """
        fit = fit_data(outcomes)
        if missing := int(outcomes["answer"].isna().sum()):
            raise NotRecorded(
                f"answer_scorer needs every answer's text, and {missing} answers on fit tasks have none; record the "
                "column answer (output, in imported tables)"
            )
        self._has_confidence = bool(outcomes["confidence"].notna().all())
        self._has_tokens = bool(outcomes["completion_tokens"].notna().all())
        self.models, self._means = fit.models, fit.quality.mean(axis=0)
        prompts = self.prompt_vectors.fit(fit.prompts).transform(fit.prompts)
        self.answer_vectors.fit(fit.answers["answer"])
        self._scorers = []
        for model, name in enumerate(fit.models):
            rows = fit.answers[fit.answers["model"] == name]
            features = np.hstack([prompts, self._answer_features(rows)])
            self._scorers.append(LogisticQuality().fit(features, fit.quality[:, model], fit.groups))
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]: the score of a called model's answer, the mean quality of the others."""
        quality = np.tile(self._means, (len(prompts), 1))
        features = self.prompt_vectors.transform(prompts["prompt"])
        for model, name in enumerate(self.models):
            rows = answers[answers["model"] == name].sort_values("row")
            if not rows.empty:
                quality[:, model] = self._scorers[model].predict(np.hstack([features, self._answer_features(rows)]))
        return quality

    def _answer_features(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        text = rows["answer"].fillna("")
        length = rows["completion_tokens"].fillna(0) if self._has_tokens else text.str.len()
        features = [self.answer_vectors.transform(text), np.log1p(length.to_numpy(float))]
        if self._has_confidence:
            features.append(logit(np.clip(rows["confidence"].fillna(0.5).to_numpy(float), 1e-6, 1 - 1e-6)))
        return np.column_stack(features)
