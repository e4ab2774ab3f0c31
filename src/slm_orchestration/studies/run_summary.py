"""One strategy at its operating point, in the numbers that a list of runs shows beside each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.references import mixture_models
from slm_orchestration.routing.replay import Replayed
from slm_orchestration.statistics.metrics import mixture
from slm_orchestration.statistics.strategy_matrix import GUESS

Floats = NDArray[np.float64]


def at_operating_point(
    replayed: Replayed, position: int, evaluation: OutcomeMatrix, vertices: pd.DataFrame
) -> dict[str, float]:
    """Return means over the evaluation tasks at one threshold: quality, share of the most expensive model's, costs.

    `cost_saving` and `latency_reduction` are the most expensive model's total over the strategy's; a number that the
    outcomes do not determine is left out. `vertices` are the mixture's, see `mixture_points`.
    """
    quality, cost = replayed.quality[position].mean(), replayed.cost_usd[position].mean()
    latency, last = replayed.latency_s[position].mean(), -1
    found = {
        "quality": quality,
        "retention": _ratio(quality, evaluation.quality[:, last].mean()),
        "cost_usd": cost,
        "latency_s": latency,
        "cost_saving": _ratio(evaluation.cost_usd[:, last].mean(), cost) if evaluation.cost_unit == "usd" else np.nan,
        "latency_reduction": _ratio(evaluation.latency_s[:, last].mean(), latency),
        "gain_over_mixture": float(gain_over(vertices, cost, quality)),
    }
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def mixture_points(calibration: OutcomeMatrix, evaluation: OutcomeMatrix) -> pd.DataFrame:
    """Return the vertices of the mixture: name, mean cost and mean quality on the evaluation tasks, guess first.

    The vertices are chosen on calibration tasks. Guess is none where no answer without a model is known, or where cost
    is counted in calls.
    """
    guess = float(evaluation.tasks["guess_quality"].mean(skipna=False))
    rows = [] if np.isnan(guess) or calibration.cost_unit == "calls" else [(GUESS, 0.0, guess)]
    for vertex in mixture_models(calibration):
        cost, quality = evaluation.cost_usd[:, vertex].mean(), evaluation.quality[:, vertex].mean()
        rows.append((evaluation.models[vertex], float(cost), float(quality)))
    return pd.DataFrame(rows, columns=["name", "cost_usd", "quality"])


def gain_over(vertices: pd.DataFrame, cost_usd: Floats | float, quality: Floats | float) -> Floats:
    """Return mean qualities less those of the mixture at equal mean costs; both have the same shape."""
    costs, qualities = (vertices[column].to_numpy(float)[None] for column in ("cost_usd", "quality"))
    return np.asarray(quality - mixture(np.atleast_2d(cost_usd), costs, qualities).reshape(np.shape(quality)))


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else float("nan")
