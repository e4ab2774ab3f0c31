"""The classifier: answers choice tasks without a language model, learned from the references of fit tasks.

A reference line. Where it answers better than the models do, a router that gains on these tasks has learned the task,
and not which model to call. `with_classifier` makes it the pool's cheapest model instead (`pool.classifier=true`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix
from slm_orchestration.routing.predictors import Predictor
from slm_orchestration.routing.references import one_model_each
from slm_orchestration.routing.replay import Overhead, timed
from slm_orchestration.routing.rules import GUESS, Choices
from slm_orchestration.statistics.grid import on_grid
from slm_orchestration.statistics.strategy_matrix import CLASSIFIER

_FOLDS = 5


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

    def answers(self, outcomes: OutcomeMatrix) -> pd.DataFrame:
        """Return, for each choice task by its row, the label chosen and its predicted probability (answer, share)."""
        tasks = outcomes.tasks[outcomes.tasks["choices"].notna()]
        likely = self.likely(outcomes.prompts[tasks.index])
        chosen = [self.choice(row, choices) for row, choices in zip(likely, tasks["choices"], strict=True)]
        return pd.DataFrame(chosen, index=tasks.index, columns=["answer", "share"])

    def likely(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return how likely each known label is, prompts × labels."""
        points = self.vectors.transform(prompts)
        return on_grid(np.mean([part.predict(points) for part in self.fitted], axis=0))

    def choice(self, likely: NDArray[np.float64], choices: Sequence[str]) -> tuple[str, float]:
        """Return the label of the largest probability among a task's choices, and its share of theirs."""
        known = {label: place for place, label in enumerate(self.labels)}
        scores = np.array([likely[known[label]] if label in known else 0.0 for label in choices])
        best, total = int(scores.argmax()), float(scores.sum())
        return choices[best], float(scores[best]) / total if total > 0 else 1 / len(choices)

    def choose(self, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]) -> dict[str, Choices]:
        """Return the one choice, without a threshold: no model is called."""
        answers = self.answers(outcomes)["answer"].reindex(outcomes.tasks.index)
        choices = one_model_each(np.full((1, len(outcomes)), GUESS), len(outcomes.models), np.array([np.nan]))
        return {CLASSIFIER: replace(choices, own_answers=answers.to_numpy())}


def measure_classifier(fitted: FittedClassifier, outcomes: OutcomeMatrix, *, most: int = 200) -> dict[str, float | int]:
    """Return seconds per answer, as `replay.measure_overhead` does of routers: one at a time, and in one batch."""
    part = outcomes.take(_choice_tasks(outcomes).index.to_numpy()[:most])
    alone = [part.take(np.array([row])) for row in range(len(part))]
    fitted.answers(part)  # warm-up
    single = np.array([timed(lambda one=one: fitted.answers(one)) for one in alone])  # type: ignore[misc]
    return {
        "single_p50_s": float(np.quantile(single, 0.5)),
        "single_p99_s": float(np.quantile(single, 0.99)),
        "batched_s": timed(lambda: fitted.answers(part)) / len(part),
        "tasks": len(part),
    }


def with_classifier(outcomes: OutcomeMatrix, classifier: Classifier, *, overhead: Overhead) -> OutcomeMatrix:
    """Return the outcomes with the classifier as the cheapest model of the pool, declared small.

    It is fitted on fit tasks; these themselves are answered by fits on other folds of them (whole groups), so that
    routers learn how good it is on tasks that it has not seen. Free tasks get the guess. Each answer costs `overhead`;
    its confidence is the share of the label chosen, to be calibrated like that of any model.
    """
    rows = np.flatnonzero(outcomes.tasks["split"].to_numpy() == "fit")
    fit, groups = outcomes.take(rows), outcomes.tasks["group"].to_numpy()[rows]
    answers = classifier.fit(fit, fit).answers(outcomes)
    for train, held_out in GroupKFold(min(_FOLDS, len(np.unique(groups)))).split(rows, groups=groups):
        others = fit.take(train)
        found = classifier.fit(others, others).answers(fit.take(held_out))
        answers.loc[rows[held_out[found.index]]] = found.to_numpy()
    quality = outcomes.tasks["guess_quality"].to_numpy(float).copy()
    quality[answers.index] = (answers["answer"] == outcomes.tasks.loc[answers.index, "reference"]).astype(float)
    confidence = np.full(len(outcomes), quality[rows].mean())
    confidence[answers.index] = answers["share"]
    table = pd.DataFrame({"model": CLASSIFIER, "answer": "", "confidence": confidence, "signals": None}).assign(
        completion_tokens=0, finish_reason="choice"
    )
    table.loc[answers.index, "answer"] = answers["answer"]
    return _first_model(outcomes, table, quality, overhead)


def _first_model(
    outcomes: OutcomeMatrix, table: pd.DataFrame, quality: NDArray[np.float64], overhead: Overhead
) -> OutcomeMatrix:
    width = len(outcomes.models)
    order = np.column_stack(
        [np.arange(len(outcomes)), len(outcomes) + np.arange(len(outcomes) * width).reshape(-1, width)]
    )
    answers = pd.concat([table, outcomes.answers], ignore_index=True).iloc[order.ravel()].reset_index(drop=True)

    def joined(values: NDArray[np.float64], first: float | NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([np.broadcast_to(first, len(outcomes)), values])

    return replace(
        outcomes,
        models=(CLASSIFIER, *outcomes.models),
        small=outcomes.small | {CLASSIFIER},
        quality=joined(outcomes.quality, quality),
        cost_usd=joined(outcomes.cost_usd, overhead.cost_usd),
        latency_s=joined(outcomes.latency_s, overhead.latency_s),
        device_s=joined(outcomes.device_s, overhead.device_s),
        answers=answers[outcomes.answers.columns],
    )


def _choice_tasks(outcomes: OutcomeMatrix) -> pd.DataFrame:
    if not {"choices", "reference"} <= set(outcomes.tasks):
        raise NotRecorded(
            "a classifier learns from choices and references, which are recorded of this project's own tasks only"
        )
    tasks = outcomes.tasks[outcomes.tasks["choices"].notna()]
    if tasks.empty:
        raise NotRecorded("a classifier answers choice tasks, and there is none")
    return tasks
