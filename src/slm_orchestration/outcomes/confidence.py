"""Confidence: the probability that an answer is correct, calibrated from the raw signals of its model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from slm_orchestration.statistics.grid import probability_on_grid

_TINY = 1e-6
_FOLDS = 5
_FREE_SIGNALS = ("logprob_mean", "logprob_min", "logprob_sum", "logprob_q10")


def calibrate_confidence(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return OUTCOMES with `confidence` = P(correct), fitted per model and answer mode on the fit split.

    Logistic (Platt) scaling, rounded to the grid; a quality q between 0 and 1 counts as q correct and 1 − q wrong
    answers. Outcomes of the fit split are cross-fitted in folds that hold out whole groups, so that routers are fitted
    on out-of-fold confidences. An answer with a recorded confidence and no signals is calibrated from that confidence.
    Source: Platt 1999, "Probabilistic outputs for support vector machines".
    """
    confidence = np.full(len(outcomes), np.nan)
    recorded = outcomes["signals"].isna() & outcomes["confidence"].notna()
    answered = outcomes["quality"].notna() & (outcomes["signals"].notna() | recorded)
    mode = np.select([recorded, outcomes["finish_reason"] == "choice"], ["recorded", "choice"], "free")
    positions = pd.Series(np.arange(len(outcomes)), index=outcomes.index)[answered]
    for _, rows in positions.groupby([outcomes.loc[answered, "model"], mode[answered]]):
        confidence[rows.to_numpy()] = _calibrated(outcomes.iloc[rows.to_numpy()])
    return outcomes.assign(confidence=confidence)


@dataclass(frozen=True)
class Calibration:
    """Fitted calibrators by (model, answer mode), for live completions; a float is a constant probability.

    They equal those that `calibrate_confidence` applies to the outcomes outside the fit split.
    """

    calibrators: Mapping[tuple[str, str], Pipeline | float]
    means: Mapping[str, float]

    def confidence(self, model: str, signals: Mapping[str, float], *, choice: bool) -> float:
        """Return P(correct) of one answer; the model's mean quality if no fit task was answered in this mode."""
        calibrator = self.calibrators.get((model, "choice" if choice else "free"), self.means[model])
        return float(_predict(calibrator, np.array([_features(dict(signals))]))[0])


def fit_calibration(outcomes: pd.DataFrame) -> Calibration:
    """Fit one calibrator per model and answer mode on the fit split of OUTCOMES."""
    answered = outcomes[outcomes["quality"].notna() & outcomes["signals"].notna() & (outcomes["split"] == "fit")]
    mode = np.where(answered["finish_reason"] == "choice", "choice", "free")
    calibrators = {
        (str(model), str(kind)): _fitted(signal_features(rows["signals"]), rows["quality"].to_numpy(float))
        for (model, kind), rows in answered.groupby([answered["model"], mode])
    }
    return Calibration(calibrators, {str(k): float(v) for k, v in answered.groupby("model")["quality"].mean().items()})


def signal_features(signals: pd.Series) -> NDArray[np.float64]:
    """Return rows × features of JSON signals: label probabilities of choices, else token log-probabilities."""
    return np.array([_features(json.loads(text)) for text in signals], dtype=float)


def _features(signals: dict[str, float]) -> list[float]:
    labels = sorted((value for name, value in signals.items() if name.startswith("label:")), reverse=True)
    if not labels:
        return [max(signals.get(name, 0.0), -1e3) for name in _FREE_SIGNALS]
    total = max(sum(labels), _TINY)
    first, second = labels[0] / total, (labels[1] / total if len(labels) > 1 else 0.0)
    entropy = -sum(p / total * np.log(max(p / total, _TINY)) for p in labels)
    return [_logit(first), first - second, entropy, float(len(labels))]


def _calibrated(outcomes: pd.DataFrame) -> NDArray[np.float64]:
    if outcomes["signals"].isna().all():
        features = np.array([[_logit(value)] for value in outcomes["confidence"]], dtype=float)
    else:
        features = signal_features(outcomes["signals"])
    quality = outcomes["quality"].to_numpy(float)
    fit = np.flatnonzero(outcomes["split"].to_numpy() == "fit")
    if fit.size == 0:
        return np.full(len(outcomes), np.nan)
    confidence = _predict(_fitted(features[fit], quality[fit]), features)
    groups = outcomes["group"].to_numpy()[fit]
    folds = min(_FOLDS, len(np.unique(groups)))
    if folds > 1:
        for train, held_out in GroupKFold(folds).split(features[fit], groups=groups):
            model = _fitted(features[fit][train], quality[fit][train])
            confidence[fit[held_out]] = _predict(model, features[fit][held_out])
    return confidence


def _fitted(features: NDArray, quality: NDArray) -> Pipeline | float:
    """Return a fitted calibrator, or the Laplace-smoothed mean if all answers are correct or all are wrong."""
    if quality.min() == quality.max() and quality.min() in (0.0, 1.0):
        return float((quality.sum() + 1) / (len(quality) + 2))
    # Newton's method converges to the optimum; where a quasi-Newton method stops depends on rounding.
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10))
    labels = np.repeat([1, 0], len(quality))
    weights = np.concatenate([quality, 1 - quality])
    kept = weights > 0
    stacked = np.concatenate([features, features])[kept]
    model.fit(stacked, labels[kept], logisticregression__sample_weight=weights[kept])
    return model


def _predict(model: Pipeline | float, features: NDArray) -> NDArray[np.float64]:
    if isinstance(model, float):
        return probability_on_grid(np.full(len(features), model))
    return probability_on_grid(model.predict_proba(features)[:, 1])


def _logit(p: float) -> float:
    p = min(max(p, _TINY), 1 - _TINY)
    return float(np.log(p / (1 - p)))
