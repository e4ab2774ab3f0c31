"""The classifier: answers choice tasks without a language model, learned from the references of fit tasks.

A reference line. Where it answers better than the models do, a router that gains on these tasks has learned the task,
and not which model to call.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix
from slm_orchestration.routing.predictors import Predictor
from slm_orchestration.routing.references import one_model_each
from slm_orchestration.routing.rules import GUESS, Choices
from slm_orchestration.statistics.grid import on_grid
from slm_orchestration.statistics.strategy_matrix import CLASSIFIER


@dataclass(frozen=True)
class Classifier:
    """A text classifier of the label of choice tasks; free tasks get the guess.

    Each predictor learns which label is right, as if labels were models; the label of the largest mean prediction among
    a task's choices is the answer. Its milliseconds are neglected.
    """

    vectors: Vectors
    predictors: Mapping[str, Predictor]
    reads: ClassVar[frozenset[str]] = frozenset({"prompt", "choices", "guess"})

    def fit(self, fit: OutcomeMatrix, calibration: OutcomeMatrix) -> FittedClassifier:
        """Learn from the references of fit tasks. Raises NotRecorded where no choices and references are known."""
        tasks = _choice_tasks(fit)
        labels = sorted(set(tasks["reference"]))
        vectors = copy.deepcopy(self.vectors).fit(fit.prompts)
        right = (tasks["reference"].to_numpy()[:, None] == np.array(labels)).astype(float)
        points, groups = vectors.transform(fit.prompts[tasks.index]), tasks["group"].to_numpy()
        fitted = [copy.deepcopy(part).fit(points, right, groups) for part in self.predictors.values()]
        return FittedClassifier(vectors, tuple(fitted), tuple(labels))


@dataclass(frozen=True)
class FittedClassifier:
    """The fitted classifier of `labels`."""

    vectors: Vectors
    fitted: tuple[Predictor, ...]
    labels: tuple[str, ...]

    def answers(self, outcomes: OutcomeMatrix) -> pd.Series:
        """Return the label chosen for each choice task, by its row."""
        tasks = outcomes.tasks[outcomes.tasks["choices"].notna()]
        points = self.vectors.transform(outcomes.prompts[tasks.index])
        likely = on_grid(np.mean([part.predict(points) for part in self.fitted], axis=0))
        known = {label: place for place, label in enumerate(self.labels)}
        chosen = []
        for row, choices in zip(likely, tasks["choices"], strict=True):
            scores = [row[known[label]] if label in known else -1.0 for label in choices]
            chosen.append(choices[int(np.argmax(scores))])
        return pd.Series(chosen, index=tasks.index, dtype=object)

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Return the one choice, without a threshold: no model is called."""
        answers = self.answers(outcomes).reindex(outcomes.tasks.index)
        choices = one_model_each(np.full((1, len(outcomes)), GUESS), len(outcomes.models), np.array([np.nan]))
        return {CLASSIFIER: replace(choices, own_answers=answers.to_numpy())}


def _choice_tasks(outcomes: OutcomeMatrix) -> pd.DataFrame:
    if not {"choices", "reference"} <= set(outcomes.tasks):
        raise NotRecorded(
            "a classifier learns from choices and references, which are recorded of this project's own tasks only"
        )
    tasks = outcomes.tasks[outcomes.tasks["choices"].notna()]
    if tasks.empty:
        raise NotRecorded("a classifier answers choice tasks, and there is none")
    return tasks
