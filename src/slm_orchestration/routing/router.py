"""What every router looks like to rules and replay."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Router(Protocol):
    """Predicts how good each model's answer will be.

    `reads` declares what it looks at: "prompt", and "answer:<model>" or "answer:*" of models that were called. Replay
    hands it nothing else, and each answer is paid for.
    """

    @property
    def reads(self) -> frozenset[str]: ...

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Return this router fitted on the outcomes of fit tasks."""
        ...

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1].

        `prompts` has a row per task and the column prompt. `answers` has a row per task and model already called, with
        the columns row (position in `prompts`), model, answer, confidence, signals, completion_tokens, finish_reason;
        it is empty before the first call.
        """
        ...
