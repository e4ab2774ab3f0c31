"""Quality per model predicted by a sentence encoder that is fine-tuned on fit tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.router import fit_data


@dataclass
class EncoderClassifierRouter:
    """P(correct) per model from an encoder, all of whose weights are fine-tuned on fit tasks.

    Meant for a GPU; `device` must be named. Source: Ong et al. 2024, RouteLLM, section 4.2 (BERT).
    """

    device: str | None
    epochs: int
    learning_rate: float
    batch: int
    seed: int
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fine-tune on the prompts of fit tasks. Raises NotRecorded, which sweeps skip, if no device is named."""
        if self.device is None:
            raise NotRecorded("it trains a network: add routing.strategy.router.device=cuda (cpu takes minutes)")
        from slm_orchestration.models.encoder import QualityClassifier

        fit = fit_data(outcomes)
        classifier = QualityClassifier(self.epochs, self.learning_rate, self.batch, self.device, self.seed)
        self._classifier = classifier.fit(fit.prompts.to_list(), fit.quality)
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        return self._classifier.predict(prompts["prompt"].to_list())
