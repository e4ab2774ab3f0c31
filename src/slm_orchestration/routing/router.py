"""What every router looks like to rules and replay."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class NotRecorded(ValueError):
    """A router reads what these outcomes do not hold; the message says what is missing and how to record it."""


class Router(Protocol):
    """Predicts how good each model's answer will be.

    `reads` declares what it looks at, in the words of routing.reads: the prompt, answers and samples of models that
    were called, states. Replay hands it nothing else, and each read is paid for. It may depend on what `fit` saw.
    """

    @property
    def reads(self) -> frozenset[str]: ...

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Return this router fitted on the outcomes of fit tasks."""
        ...

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1].

        `prompts` has a row per task and the columns prompt and state, as far as they are read. `answers` has a row per
        task and model already called, with the columns row (position in `prompts`), model, answer, confidence, signals,
        completion_tokens, finish_reason, and samples if they are read; it is empty before the first call.
        """
        ...


@runtime_checkable
class Tunable(Protocol):
    """A router that chooses something on calibration tasks, once it is fitted."""

    def tune(self, outcomes: pd.DataFrame) -> Self:
        """Return the fitted router tuned on the outcomes of calibration tasks."""
        ...
