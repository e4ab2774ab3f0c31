"""Self-verification: the model is asked for the probability that its own answer is right."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.router import fit_data


@dataclass
class SelfVerificationRouter:
    """Predict a called model's quality from `signal`, its own probability that its answer is right.

    A logistic fit per model calibrates the probability; a model not called gets its mean. The recorded cost of the
    answer must include the second question. Source: Kadavath et al. 2022; Aggarwal et al. 2024, AutoMix.
    """

    signal: str
    reads = frozenset({"answer:*"})
    uses = frozenset({"signals"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the calibration per model on fit tasks. Raises NotRecorded where the signal is missing."""
        fit = fit_data(outcomes)
        self._models, self._means, self._fitted = fit.models, fit.quality.mean(axis=0), {}
        for model, name in enumerate(fit.models[:-1]):
            values = _logits(fit.answers.loc[fit.answers["model"] == name, "signals"], self.signal)
            if missing := int(np.isnan(values).sum()):
                raise NotRecorded(
                    f"self_verification needs the signal {self.signal!r}, the model's probability that its own answer "
                    f"is right, and {missing} answers of {name!r} lack it; ask each model again about its answer, and "
                    f"add the probability to the column signals as {{{self.signal!r}: 0.8}}, and its cost to cost_usd"
                )
            self._fitted[model] = LogisticQuality(inverse_penalties=(1.0,)).fit(
                values[:, None], fit.quality[:, model], fit.groups
            )
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        quality = np.tile(self._means, (len(prompts), 1))
        for model, calibration in self._fitted.items():
            rows = answers[answers["model"] == self._models[model]]
            values = _logits(rows["signals"], self.signal)
            known = ~np.isnan(values)
            quality[rows["row"].to_numpy()[known], model] = calibration.predict(values[known, None])
        return quality


def _logits(signals: pd.Series, name: str) -> NDArray[np.float64]:
    probability = [json.loads(text).get(name) if isinstance(text, str) else None for text in signals]
    clipped = np.clip(np.array(probability, dtype=float), 1e-4, 1 - 1e-4)
    return np.log(clipped) - np.log1p(-clipped)
