"""Which requests a router sends where, in words that a person can check: what sets a model's tasks apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.features import analyse
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.studies.explain import typical_words

_MODELS = 6  # that are described, the most used first
_FEATURES = 3  # of a model's tasks that are named
_LEAST_SHARE = 0.02  # of the tasks, for a model to be described
_LARGE_DIFFERENCE = 0.5  # in standard deviations of a feature
_NO_SPREAD = 1e-12  # a standard deviation below it is rounding: the feature is the same on all tasks
_MORE_OF_A_DOMAIN = 0.15  # share of a domain's tasks above the share of all tasks
_MOST_COMPARED = 20_000  # tasks whose words are compared
_WORDS_FOR = {  # features of a prompt, where their mean is higher and lower than elsewhere
    "log_characters": ("long prompts", "short prompts"),
    "number_density": ("many numbers", "few numbers"),
    "code_density": ("code", "no code"),
    "structure_density": ("brackets and tables", "plain text"),
    "reasoning_density": ("words of reasoning", "few words of reasoning"),
    "options": ("answer options", "no answer options"),
    "newline_density": ("many lines", "few lines"),
    "questions": ("questions", "no questions"),
}


@dataclass(frozen=True)
class Route:
    """A model, the share of tasks that it serves, and what sets them apart (empty where nothing does)."""

    model: str
    share: float
    tasks: tuple[str, ...]


def routes(outcomes: OutcomeMatrix, served: NDArray[np.intp]) -> list[Route]:
    """Return the models that serve tasks, the most used first; `served` is the model of each task of `outcomes`."""
    shares = np.bincount(served[served >= 0], minlength=len(outcomes.models)) / len(served)
    used = [int(model) for model in np.argsort(-shares, kind="stable") if shares[model] > 0]
    described = [model for model in used if shares[model] >= _LEAST_SHARE][:_MODELS]
    words = _apart(outcomes, served, described) if len(used) > 1 else {}
    return [Route(outcomes.models[model], float(shares[model]), words.get(model, ())) for model in used]


def _apart(outcomes: OutcomeMatrix, served: NDArray[np.intp], models: Sequence[int]) -> dict[int, tuple[str, ...]]:
    prompts = outcomes.prompts
    features = analyse(prompts)[list(_WORDS_FOR)] if prompts.notna().all() else pd.DataFrame()
    typical = _typical(prompts, served, models) if len(features) else {}
    return {
        model: (
            *_of_features(features, served == model),
            *_of_domains(outcomes, served == model),
            *typical.get(model, ()),
        )
        for model in models
    }


def _of_features(features: pd.DataFrame, own: NDArray[np.bool_]) -> Iterator[str]:
    if features.empty or own.all():
        return
    spread = features.std(ddof=0)
    difference = ((features[own].mean() - features[~own].mean()) / spread.where(spread > _NO_SPREAD)).dropna()
    large = difference[difference.abs() >= _LARGE_DIFFERENCE].abs().sort_values(ascending=False, kind="stable")
    # The length first, which a person sees at once.
    for name in sorted(large.index, key=lambda name: name != "log_characters")[:_FEATURES]:
        yield _WORDS_FOR[str(name)][0 if difference[name] > 0 else 1]


def _of_domains(outcomes: OutcomeMatrix, own: NDArray[np.bool_]) -> Iterator[str]:
    if outcomes.tasks["domain"].nunique() < 2:
        return
    shares = pd.Series(own).groupby(outcomes.tasks["domain"].to_numpy()).mean()
    shares = shares.sort_values(ascending=False, kind="stable")
    listed = [f"{domain} ({share:.0%})" for domain, share in shares.items() if share >= own.mean() + _MORE_OF_A_DOMAIN]
    if listed:
        yield "most of " + ", ".join(listed[:3])


def _typical(prompts: pd.Series, served: NDArray[np.intp], models: Sequence[int]) -> dict[int, tuple[str, ...]]:
    rows = np.arange(min(len(prompts), _MOST_COMPARED))
    kind = np.full(len(rows), len(models))
    for place, model in enumerate(models):
        kind[served[rows] == model] = place
    found = typical_words(prompts.iloc[rows].tolist(), kind, len(models))
    return {
        model: (f"words such as {words}",)
        for model, words in zip(models, found, strict=True)
        if not words.startswith("no ")
    }
