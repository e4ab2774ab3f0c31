"""The adaptive router: a weighted mean of several predictors, then the confidence of answers where it helps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import logit

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.predictors import Predictor
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.router import FitData, fit_data

Floats = NDArray[np.float64]
FOLDS = 4  # of the cross-validation inside the fit tasks
FEWEST_GROUPS = 40  # with fewer groups of fit tasks, weights stay equal and confidence is not read
SHRINKAGE = 0.1  # of the weights towards the plain mean, relative to what the predictions explain
CHOICE = "choice"  # the finish reason of a choice among labels; any other is a free answer


@dataclass(frozen=True)
class Stage:
    """What the answer of one model says of another's quality, for one kind of answer: choice or free."""

    answered: str
    of: str
    answers: str
    helps: bool
    gain: float  # in squared error on held-out fit tasks
    error: float  # the standard error of that gain


@dataclass
class AdaptiveRouter:
    """Predict each model's quality from the request by several predictors; after an answer, also from its confidence.

    The weights of the predictors are not negative. A cross-validation inside the fit tasks chooses them, on the
    differences between models, which decide a choice; they shrink to the plain mean. After an answer, a regression on
    the prediction and the answer's confidence replaces the prediction of that model and of more expensive ones, if on
    held-out fit tasks it is better by more than two standard errors; choices and free answers are judged apart. Models
    whose answers never help are not read, and their calls are decided from the request alone.
    """

    vectors: Vectors
    predictors: Mapping[str, Predictor]
    models: tuple[str, ...] = field(default=(), init=False)
    reads: frozenset[str] = field(default=frozenset({"prompt", "answer:*"}), init=False, repr=False)
    weights: dict[str, float] = field(default_factory=dict, init=False)
    stages: tuple[Stage, ...] = field(default=(), init=False)
    fitted: dict[str, Predictor] = field(default_factory=dict, init=False, repr=False)
    uses: ClassVar[frozenset[str]] = frozenset()  # confidence is optional

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the predictors on all fit tasks, and weights and stages on predictions for held-out ones."""
        fit = fit_data(outcomes)
        self.models = fit.models
        points = self.vectors.fit(fit.prompts).transform(fit.prompts)
        fold = _folds(fit.groups)
        self.fitted = {name: _fitted(part, points, fit) for name, part in self.predictors.items()}
        self.weights = dict.fromkeys(self.fitted, 1 / len(self.fitted))
        self._after: dict[tuple[int, int, bool], LogisticQuality] = {}
        if fold is not None:
            held_out = {name: _held_out(part, points, fit, fold) for name, part in self.predictors.items()}
            self.weights = combination(held_out, fit.quality)
            self._fit_stages(_mean(held_out, self.weights), fit, fold)
        helpful = {model for model, _, _ in self._after}
        self.reads = frozenset({"prompt", *(f"answer:{fit.models[model]}" for model in helpful)})
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> Floats:
        """Return tasks × models in [0, 1]."""
        points = self.vectors.transform(prompts["prompt"])
        quality = _mean({name: part.predict(points) for name, part in self.fitted.items()}, self.weights)
        if answers.empty:
            return quality
        before = quality.copy()
        for answered, name in enumerate(self.models):
            rows = answers[(answers["model"] == name) & answers["confidence"].notna()]
            for choice in (True, False):
                part = rows[(rows["finish_reason"] == CHOICE) == choice]
                row, confidence = part["row"].to_numpy(), part["confidence"].to_numpy(float)
                for of in range(answered, len(self.models)):
                    if len(row) and (answered, of, choice) in self._after:
                        seen = _evidence(before[row], of, confidence)
                        quality[row, of] = self._after[answered, of, choice].predict(seen)
        return quality

    def _fit_stages(self, predicted: Floats, fit: FitData, fold: NDArray[np.intp]) -> None:
        """Keep the stages that help on held-out tasks; `predicted` is held out as well, tasks × models."""
        width = len(fit.models)
        choice = (fit.answers["finish_reason"] == CHOICE).to_numpy().reshape(-1, width)
        known, stages = ~np.isnan(fit.confidence), []
        for answered in range(width - 1):
            if not known[:, answered].all():
                continue  # read all of a model's confidences or none
            for of in range(answered, width):
                for kind in (True, False):
                    rows = np.flatnonzero(choice[:, answered] == kind)
                    if len(np.unique(fit.groups[rows])) < FEWEST_GROUPS:
                        continue
                    seen = _evidence(predicted[rows], of, fit.confidence[rows, answered])
                    quality, groups = fit.quality[rows, of], fit.groups[rows]

                    def made(train: NDArray) -> LogisticQuality:
                        return LogisticQuality((0.3,)).fit(seen[train], quality[train], groups[train])  # noqa: B023

                    after = _by_fold(fold[rows], lambda train, test: made(train).predict(seen[test]))  # noqa: B023
                    gained = (predicted[rows, of] - quality) ** 2 - (after - quality) ** 2
                    error = float(gained.std(ddof=1) / np.sqrt(len(gained)))
                    helps = bool(gained.mean() > 2 * error)
                    words = "choice" if kind else "free"
                    names = fit.models[answered], fit.models[of]
                    stages.append(Stage(*names, words, helps, float(gained.mean()), error))
                    if helps:
                        self._after[answered, of, kind] = made(np.arange(len(rows)))
        self.stages = tuple(stages)


def combination(predicted: Mapping[str, Floats], quality: Floats) -> dict[str, float]:
    """Return the weight of each predictor: not negative, of sum 1, fitted to differences between models.

    Least squares on each task's qualities less their mean over models; the penalty pulls the weights to equality.
    """
    equal = np.full(len(predicted), 1 / len(predicted))
    centred = np.column_stack([_contrasts(part) for part in predicted.values()])
    penalty = SHRINKAGE * np.sqrt((centred**2).sum() / len(equal))
    if not penalty > 0:
        return dict(zip(predicted, equal.tolist(), strict=True))
    found, _ = nnls(np.vstack([centred, penalty * np.eye(len(equal))]), np.append(_contrasts(quality), penalty * equal))
    weights = np.round(found / found.sum(), 6) if found.sum() > 0 else equal
    return dict(zip(predicted, weights.tolist(), strict=True))


def _contrasts(values: Floats) -> Floats:
    return (values - values.mean(axis=1, keepdims=True)).ravel()


def _mean(predicted: Mapping[str, Floats], weights: Mapping[str, float]) -> Floats:
    return np.clip(np.sum([weights[name] * part for name, part in predicted.items()], axis=0), 0.0, 1.0)


def _folds(groups: NDArray) -> NDArray[np.intp] | None:
    """Return the fold of each task, whole groups together; None with too few groups to learn from."""
    names, code = np.unique(groups, return_inverse=True)
    if len(names) < FEWEST_GROUPS:
        return None
    return (np.random.default_rng(0).permutation(len(names)) % FOLDS)[code]


def _fitted(part: Predictor, points: Floats, fit: FitData) -> Predictor:
    return copy.deepcopy(part).fit(points, fit.quality, fit.groups)


def _held_out(part: Predictor, points: Floats, fit: FitData, fold: NDArray[np.intp]) -> Floats:
    def predict(train: NDArray, test: NDArray) -> Floats:
        return copy.deepcopy(part).fit(points[train], fit.quality[train], fit.groups[train]).predict(points[test])

    return _by_fold(fold, predict)


def _by_fold(fold: NDArray[np.intp], predict: Callable[[NDArray, NDArray], Floats]) -> Floats:
    """Return predictions for every task, each made without the tasks of its fold."""
    found: Floats | None = None
    for number in range(FOLDS):
        test = np.flatnonzero(fold == number)
        if not len(test):
            continue
        part = predict(np.flatnonzero(fold != number), test)
        found = np.empty((len(fold), *part.shape[1:])) if found is None else found
        found[test] = part
    assert found is not None
    return found


def _evidence(predicted: Floats, of: int, confidence: Floats) -> Floats:
    """Return what a stage's regression reads: log-odds of the prediction for `of` and of the answer's confidence."""
    return logit(np.clip(np.column_stack([predicted[:, of], confidence]), 1e-3, 1 - 1e-3))
