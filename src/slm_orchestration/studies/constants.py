"""Constant models beside each other: which one to measure against, and which are worse and no cheaper than another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.statistics.paired_tests import standard_error
from slm_orchestration.statistics.resampling import design


@dataclass(frozen=True)
class Dominated:
    """A model that another one, `by`, equals or exceeds in quality at no more cost.

    `difference` is the quality of `by` less that of `model` on evaluation tasks, with the ends of its 95 % interval;
    `cost_share` the cost of `by` over that of `model`, nan where that costs nothing.
    """

    model: str
    by: str
    difference: float
    low: float
    high: float
    cost_share: float


def reference_model(known: OutcomeMatrix, asked: str | None) -> int:
    """Return the index of the model that is asked for, else of the best one, of equals the cheapest.

    Raises ValueError if there is no such model.
    """
    if asked is None:
        return int(known.quality.mean(axis=0).argmax())
    if asked not in known.models:
        raise ValueError(f"reference={asked}: no such model; they are {', '.join(known.models)}")
    return known.models.index(asked)


def dominated_models(known: OutcomeMatrix, evaluation: OutcomeMatrix) -> Iterator[Dominated]:
    """Yield the models that another one dominates on `known` tasks, the most expensive first.

    Of several that dominate a model, the best one is named. Differences are estimated on `evaluation` tasks.
    """
    quality, cost = known.quality.mean(axis=0), known.cost_usd.mean(axis=0)
    for model in reversed(range(len(known.models))):
        better = (quality >= quality[model]) & (cost <= cost[model] * (1 + 1e-9))
        better &= (quality > quality[model]) | (cost < cost[model] * (1 - 1e-9))
        if better.any():
            best = int(np.flatnonzero(better)[quality[better].argmax()])
            yield _dominated(evaluation, model, best)


def _dominated(evaluation: OutcomeMatrix, model: int, by: int) -> Dominated:
    differences = (evaluation.quality[:, by] - evaluation.quality[:, model])[:, None]
    error, groups = standard_error(differences, design(evaluation.tasks))
    mean = float(differences.mean())
    width = float(special.stdtrit(groups - 1, 0.975) * error[0])
    cost = evaluation.cost_usd.mean(axis=0)
    share = float(cost[by] / cost[model]) if cost[model] > 0 else float("nan")
    return Dominated(evaluation.models[model], evaluation.models[by], mean, mean - width, mean + width, share)
