"""Self-consistency: an answer that a model repeats when sampled is more likely right."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.router import fit_data


@dataclass
class SelfConsistencyRouter:
    """Predict a called model's quality from the share of its `samples` that agree with its greedy answer.

    Each sample is a paid call. Multiple-choice tasks have no samples: the probability of the chosen label is the
    expected share, at no cost. A logistic fit per model maps shares to qualities; a model not called gets its mean.
    Source: Wang et al. 2023, "Self-consistency improves chain of thought reasoning"; as a cascade, Yue et al. 2024.
    """

    model: str
    samples: int

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"answer:*", f"samples:{self.model}:{self.samples}"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit agreement → quality per model on fit tasks."""
        fit = fit_data(outcomes)
        self._means = fit.quality.mean(axis=0)
        self._models = fit.models
        self._fitted = [
            LogisticQuality(inverse_penalties=(1.0,)).fit(
                _features(fit.answers[fit.answers["model"] == name]), fit.quality[:, model], fit.groups
            )
            for model, name in enumerate(fit.models)
        ]
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        quality = np.tile(self._means, (len(prompts), 1))
        for model, name in enumerate(self._models):
            rows = answers[answers["model"] == name]
            if len(rows):
                quality[rows["row"].to_numpy(), model] = self._fitted[model].predict(_features(rows))
        return quality


def agreement(answer: str, samples: list[str]) -> float:
    """Return the share of samples equal to `answer`, ignoring case, spaces and a final full stop."""
    return float(np.mean([_normalised(sample) == _normalised(answer) for sample in samples]))


def _features(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return answers × 3: share of agreeing samples, probability of the chosen label, 1 if there is neither."""
    features = np.zeros((len(rows), 3))
    for row, (answer, samples, signals) in enumerate(
        zip(rows["answer"], rows["samples"], rows["signals"], strict=True)
    ):
        if len(samples):
            features[row, 0] = agreement(str(answer), list(samples))
        elif (share := _label_share(signals)) is not None:
            features[row, 1] = share
        else:
            features[row, 2] = 1.0
    return features


def _label_share(signals: object) -> float | None:
    labels = (
        [v for name, v in json.loads(signals).items() if name.startswith("label:")] if isinstance(signals, str) else []
    )
    return max(labels) / sum(labels) if labels and sum(labels) > 0 else None


def _normalised(answer: str) -> str:
    return " ".join(answer.lower().split()).rstrip(".")
