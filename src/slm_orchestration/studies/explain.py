"""What a fitted router has learned, in a form that a person can read: kinds of requests, weights and stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.predictors import Kinds
from slm_orchestration.routing.routers.adaptive import AdaptiveRouter
from slm_orchestration.routing.routers.predictor import PredictorRouter
from slm_orchestration.routing.strategy import FittedRoutedStrategy

WORDS = 5  # typical words of a kind
_OTHER = "no word is typical"


def kinds_of(router: object) -> Kinds | None:
    """Return the kinds that a fitted router holds, or None."""
    if isinstance(router, AdaptiveRouter):
        return next((part for part in router.fitted.values() if isinstance(part, Kinds)), None)
    if isinstance(router, PredictorRouter) and isinstance(router.predictor, Kinds):
        return router.predictor
    return None


def kinds_table(strategy: FittedRoutedStrategy, fit: OutcomeMatrix, threshold: float) -> pd.DataFrame:
    """Return one row per kind of fit tasks, the largest first: words, tasks, quality of each model, who serves it.

    `serves` is the model of the largest (1 - t)·quality - t·cost of the kind, as the utility rule chooses at threshold
    t. Tasks count for the kind that they belong to most. Raises ValueError if the router holds no kinds.
    """
    kinds, router = kinds_of(strategy.router), strategy.router
    if kinds is None:
        raise ValueError(f"{strategy.name} has no kinds of requests: routing=kinds and routing=adaptive do")
    texts = fit.reading(strategy.view).prompts
    nearest = kinds.weights(router.vectors.transform(texts)).argmax(axis=1)  # type: ignore[attr-defined]
    value = (1 - threshold) * kinds.table - threshold * strategy.relative_cost
    frame = pd.DataFrame(
        {
            "kind": np.arange(len(kinds.table)),
            "words": typical_words(texts.tolist(), nearest, len(kinds.table)),
            "tasks": np.bincount(nearest, minlength=len(kinds.table)),
            **{model: kinds.table[:, column] for column, model in enumerate(fit.models)},
            "serves": [fit.models[model] for model in value.argmax(axis=1)],
        }
    )
    return frame.sort_values(["tasks", "kind"], ascending=[False, True], ignore_index=True)


def typical_words(texts: Sequence[str], kind: NDArray[np.intp], count: int) -> list[str]:
    """Return, per kind, the words whose mean TF-IDF weight lies most above that over all texts."""
    try:
        vectoriser = TfidfVectorizer(
            min_df=2, max_features=20_000, sublinear_tf=True, token_pattern=r"(?u)\b[^\W\d]{2,}\b"
        )
        weights = vectoriser.fit_transform(texts)
    except ValueError:  # no word occurs twice
        return [_OTHER] * count
    names, overall = vectoriser.get_feature_names_out(), np.asarray(weights.mean(axis=0)).ravel()
    found = []
    for number in range(count):
        rows = np.flatnonzero(kind == number)
        if not rows.size:
            found.append(_OTHER)
            continue
        # Rounded, so that a word that all texts share is typical of none.
        above = np.round(np.asarray(weights[rows].mean(axis=0)).ravel() - overall, 9)
        best = np.lexsort((names, -above))[:WORDS]
        found.append(", ".join(names[place] for place in best if above[place] > 0) or _OTHER)
    return found


def in_words(router: object) -> list[str]:
    """Return sentences on what an adaptive router chose: its predictors' weights, and the stages that help."""
    if not isinstance(router, AdaptiveRouter):
        return []
    parts = ", ".join(f"{name.replace('_', ' ')} {weight:.2f}" for name, weight in router.weights.items())
    lines = [f"Before an answer, the prediction is a weighted mean of {parts}."]
    helpful = [stage for stage in router.stages if stage.helps]
    for stage in helpful:
        lines.append(
            f"After a {stage.answers} answer of {stage.answered}, its confidence changes the prediction for "
            f"{stage.of}: the squared error on held-out fit tasks falls by {stage.gain:.4f} "
            f"(standard error {stage.error:.4f})."
        )
    if not helpful:
        lines.append("No answer's confidence helps on held-out fit tasks, so each request gets one call.")
    return lines
