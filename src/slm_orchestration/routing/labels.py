"""Calibrated labels: choice answers chosen after a correction of the label probabilities, learned on fit tasks.

A model often prefers a label whatever the question is. Per kind of request, model and set of labels, the correction
takes each label's mean log-probability away (Zhou et al. 2023, arXiv 2309.17249, after Zhao et al. 2021, arXiv
2102.09690), then fits a slope and a bias per label to the references of fit tasks. It needs no further call. With
references it also learns how often each label is right, so it may answer by the class balance of fit tasks:
`experiments.explain` prints what remains where all labels are equally frequent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.model_selection import GroupKFold

from slm_orchestration.outcomes.confidence import calibrate_confidence
from slm_orchestration.routing.features import Vectors, WideVectors
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix
from slm_orchestration.routing.predictors import Kinds
from slm_orchestration.statistics.grid import on_grid

Floats = NDArray[np.float64]
Labels = tuple[str, ...]
PENALTY = 10.0  # of slope² around 1 and of each bias² around 0, in units of fit tasks
_DIMENSIONS = 64
_FOLDS = 5
_TINY = 1e-9
_PREFIX = "label:"


@dataclass(frozen=True)
class Correction:
    """Scores of labels are slope·(log p - mean) + bias; `mean` and `bias` have one value per label."""

    mean: Floats
    slope: float
    bias: Floats

    def scores(self, log_probability: Floats) -> Floats:
        """Return tasks × labels, on the grid, so that the best label is the same on every machine."""
        return on_grid(np.clip(self.slope * (log_probability - self.mean) + self.bias, -100.0, 100.0))


@dataclass(frozen=True)
class LabelCalibration:
    """The corrections of each model, by kind of request and set of labels; what has none stays as it is."""

    vectors: Vectors
    kinds: Kinds
    corrections: Mapping[tuple[int, str, Labels], Correction]

    def answer(self, model: str, prompt: str, signals: Mapping[str, float], labels: Labels) -> tuple[str, dict]:
        """Return the label that a live answer becomes, and its signals with the corrected label probabilities."""
        kind = int(self.kinds_of(pd.Series([prompt]))[0])
        return _chosen(self.corrections.get((kind, model, labels)), _log_probability(signals, labels), signals, labels)

    def kinds_of(self, prompts: pd.Series) -> NDArray[np.intp]:
        """Return the kind that each request belongs to most."""
        return self.kinds.weights(self.vectors.transform(prompts)).argmax(axis=1)


def fit_labels(fit: OutcomeMatrix, *, seed: int) -> LabelCalibration:
    """Learn kinds from the requests of fit tasks, and each kind's corrections from the references of its choices.

    Raises NotRecorded where choices, references or label probabilities are not known.
    """
    tasks, vectors = _choice_tasks(fit), WideVectors(_DIMENSIONS, seed)
    prompts, quality = fit.prompts[tasks.index].reset_index(drop=True), fit.quality[tasks.index]
    points = vectors.fit(prompts).transform(prompts)
    kinds = Kinds(kinds=None, dimensions=_DIMENSIONS, seed=seed).fit(points, quality, tasks["group"].to_numpy())
    shared = LabelCalibration(vectors, kinds, {})
    return replace(shared, corrections=_corrections(_choices(fit, tasks, shared)))


def calibrated_labels(outcomes: OutcomeMatrix, *, seed: int) -> OutcomeMatrix:
    """Return the outcomes with choices made after the correction: other answers, qualities, signals and confidences.

    The correction is learned on the fit split. Fit tasks themselves are corrected by what other folds of them show
    (whole groups), so that routers learn from answers like those that they will see.
    """
    fitted = fit_labels(outcomes.where("fit"), seed=seed)
    choices = _choices(outcomes, _choice_tasks(outcomes), fitted)
    changed = [(one, fitted.corrections.get(one.key)) for one in choices if one.split != "fit"]
    learned = [one for one in choices if one.split == "fit"]
    groups = np.array([one.group for one in learned])
    for train, held_out in GroupKFold(min(_FOLDS, len(np.unique(groups)))).split(groups, groups=groups):
        corrections = _corrections([learned[place] for place in train])
        changed += [(learned[place], corrections.get(learned[place].key)) for place in held_out]
    answer, signals = (outcomes.answers[name].to_numpy(object).copy() for name in ("answer", "signals"))
    quality = outcomes.quality.ravel().copy()
    for one, correction in changed:
        answer[one.row], made = _chosen(correction, one.log_p, one.signals, one.labels)
        signals[one.row], quality[one.row] = json.dumps(made), float(answer[one.row] == one.labels[one.right])
    answers = outcomes.answers.assign(answer=answer, signals=signals)
    return with_confidence(replace(outcomes, answers=answers, quality=quality.reshape(outcomes.quality.shape)))


def with_confidence(outcomes: OutcomeMatrix) -> OutcomeMatrix:
    """Return the outcomes with confidences calibrated on their fit split, which may not be the one they came with."""
    confidence = calibrate_confidence(as_rows(outcomes))["confidence"]
    return replace(outcomes, answers=outcomes.answers.assign(confidence=confidence))


def as_rows(outcomes: OutcomeMatrix) -> pd.DataFrame:
    """Return a row per task and model with what confidences are calibrated from: signals, quality, split, group."""
    repeated = outcomes.tasks.index.repeat(len(outcomes.models))
    about = outcomes.tasks[["split", "group"]].loc[repeated].reset_index(drop=True)
    return outcomes.answers.join(about).assign(quality=outcomes.quality.ravel())


def _choice_tasks(outcomes: OutcomeMatrix) -> pd.DataFrame:
    if not {"choices", "reference"} <= set(outcomes.tasks):
        raise NotRecorded("answers=calibrated needs choices and references, which only this project's own tasks have")
    tasks = outcomes.tasks[outcomes.tasks["choices"].notna()]
    if tasks.empty:
        raise NotRecorded("answers=calibrated corrects choices among labels, and no task has any")
    return tasks


@dataclass(frozen=True)
class _Choice:
    """One model's choice on one task; `row` is its row of answers, `right` the position of the right label."""

    row: int
    split: str
    group: str
    kind: int
    model: str
    labels: Labels
    log_p: Floats
    signals: dict[str, float]
    right: int

    @property
    def key(self) -> tuple[int, str, Labels]:
        return self.kind, self.model, self.labels


def _choices(outcomes: OutcomeMatrix, tasks: pd.DataFrame, fitted: LabelCalibration) -> list[_Choice]:
    kinds, recorded, found = fitted.kinds_of(outcomes.prompts[tasks.index]), outcomes.answers["signals"].to_numpy(), []
    about = (tasks[name].tolist() for name in ("split", "group", "choices", "reference"))
    for task, kind, split, group, choices, reference in zip(tasks.index, kinds, *about, strict=True):
        labels = tuple(choices)
        for column, model in enumerate(outcomes.models):
            row = int(task) * len(outcomes.models) + column
            signals = json.loads(recorded[row]) if isinstance(recorded[row], str) else {}
            if not has_probabilities(signals, labels):
                raise NotRecorded(
                    "answers=calibrated needs the label probabilities of every choice, and some have none"
                )
            log_p = _log_probability(signals, labels)
            right = labels.index(reference)
            found.append(_Choice(row, split, str(group), int(kind), model, labels, log_p, signals, right))
    return found


def _corrections(choices: Sequence[_Choice]) -> dict[tuple[int, str, Labels], Correction]:
    by_key: dict[tuple[int, str, Labels], list[_Choice]] = {}
    for one in choices:
        by_key.setdefault(one.key, []).append(one)
    return {
        key: _correction(np.stack([one.log_p for one in known]), np.array([one.right for one in known]))
        for key, known in by_key.items()
    }


def _chosen(
    correction: Correction | None, log_p: Floats, signals: Mapping[str, float], labels: Labels
) -> tuple[str, dict[str, float]]:
    scores = on_grid(log_p) if correction is None else correction.scores(log_p[None])[0]
    share = softmax(scores) * sum(signals[_PREFIX + label] for label in labels)
    return labels[int(scores.argmax())], dict(signals) | {
        _PREFIX + label: float(p) for label, p in zip(labels, share, strict=True)
    }


def _correction(log_p: Floats, right: NDArray[np.intp]) -> Correction:
    """Fit slope and biases by Newton's method with step halving: the optimum is unique, whatever the rounding."""
    mean = log_p.mean(axis=0)
    x, y = log_p - mean, np.eye(log_p.shape[1])[right]
    start = np.append(1.0, np.zeros(x.shape[1]))

    def loss(values: Floats) -> float:
        fitted = (y * log_softmax(values[0] * x + values[1:], axis=1)).sum()
        return float(PENALTY / 2 * ((values - start) ** 2).sum() - fitted)

    found = start.copy()
    for _ in range(50):
        p = softmax(found[0] * x + found[1:], axis=1)
        px, expected = p * x, (p * x).sum(axis=1, keepdims=True)
        gradient = np.append(((p - y) * x).sum(), (p - y).sum(axis=0)) + PENALTY * (found - start)
        curvature = PENALTY * np.eye(len(found))
        curvature[0, 0] += (px * x).sum() - (expected**2).sum()
        curvature[0, 1:] += (px - p * expected).sum(axis=0)
        curvature[1:, 0] = curvature[0, 1:]
        curvature[1:, 1:] += np.diag(p.sum(axis=0)) - p.T @ p
        step, before = np.linalg.solve(curvature, gradient), loss(found)
        while loss(found - step) > before and np.abs(step).max() > 1e-12:
            step = step / 2
        found = found - step
        if np.abs(step).max() < 1e-11:
            break
    return Correction(mean, float(found[0]), found[1:])


def has_probabilities(signals: Mapping[str, float], labels: Sequence[str]) -> bool:
    """Return whether the signals of a choice hold the probability of each label; those of some servers do not."""
    return all(_PREFIX + label in signals for label in labels)


def _log_probability(signals: Mapping[str, float], labels: Sequence[str]) -> Floats:
    return np.log(np.maximum([signals[_PREFIX + label] for label in labels], _TINY))
