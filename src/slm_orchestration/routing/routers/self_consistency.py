"""Self-consistency: an answer that a model gives again and again is more likely right."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.quality_model import QualityModel
from slm_orchestration.routing.router import training


@dataclass
class SelfConsistencyRouter:
    """Predict a called model's quality from the share of its `samples` that say what its greedy answer says.

    Each sample is a paid call. A choice has none: the probability of its label is the share that endless samples would
    have, and costs nothing. Shares become qualities by a logistic fit per model; a model not called gets its mean.
    Source: Wang et al. 2023, "Self-consistency improves chain of thought reasoning"; as a cascade, Yue et al. 2024.
    """

    model: str
    samples: int

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"answer:*", f"samples:{self.model}:{self.samples}"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit agreement → quality per model on fit tasks."""
        seen = training(outcomes)
        self._means = seen.quality.mean(axis=0)
        self._models = seen.models
        self._fitted = [
            QualityModel(inverse_penalties=(1.0,)).fit(
                _features(seen.answers[seen.answers["model"] == name]), seen.quality[:, model], seen.groups
            )
            for model, name in enumerate(seen.models)
        ]
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        quality = np.tile(self._means, (len(prompts), 1))
        for model, name in enumerate(self._models):
            given = answers[answers["model"] == name]
            if len(given):
                quality[given["row"].to_numpy(), model] = self._fitted[model].predict(_features(given))
        return quality


def agreement(answer: str, samples: list[str]) -> float:
    """Return the share of samples that say the same as `answer`, but for case, spaces and a final full stop."""
    return float(np.mean([_plain(sample) == _plain(answer) for sample in samples]))


def _features(given: pd.DataFrame) -> NDArray[np.float64]:
    """Return answers × 3: agreement of samples, probability of the chosen label, and whether there is neither."""
    rows = np.zeros((len(given), 3))
    for row, (answer, samples, signals) in enumerate(
        zip(given["answer"], given["samples"], given["signals"], strict=True)
    ):
        if len(samples):
            rows[row, 0] = agreement(str(answer), list(samples))
        elif (share := _label_share(signals)) is not None:
            rows[row, 1] = share
        else:
            rows[row, 2] = 1.0
    return rows


def _label_share(signals: object) -> float | None:
    labels = (
        [v for name, v in json.loads(signals).items() if name.startswith("label:")] if isinstance(signals, str) else []
    )
    return max(labels) / sum(labels) if labels and sum(labels) > 0 else None


def _plain(answer: str) -> str:
    return " ".join(answer.lower().split()).rstrip(".")
