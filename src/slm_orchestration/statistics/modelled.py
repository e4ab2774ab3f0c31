"""Intervals of modelled dollars and seconds, with the error of the model beside that of the sample.

Dollars and seconds are not measured call by call: they follow from tokens by a latency profile, whose error is known
from held-out calls. That error is shared by all calls of a model, so that more tasks do not make it smaller, and
part of it cancels in a ratio: a strategy that calls the most expensive model alone saves nothing, whatever the profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats
from scipy.optimize import nnls

from slm_orchestration.statistics.strategy_matrix import MACRO, StrategyMatrix, constant

Floats = NDArray[np.float64]

# Metric: the column that it is a mean of, and whether it is the most expensive model's over the strategy's.
_METRICS = {
    "cost_usd": ("cost_usd", False),
    "cost_saving": ("cost_usd", True),
    "latency_s": ("latency_s", False),
    "latency_reduction": ("latency_s", True),
}
# The median of the absolute value of a normal variable, in standard deviations.
_MEDIAN_ERROR = float(stats.norm.ppf(0.75))


@dataclass(frozen=True)
class ProfileError:
    """The relative error of each model's modelled dollars and seconds, a standard deviation; models cheapest first."""

    models: tuple[str, ...]
    by_column: Mapping[str, Floats]


def profile_error(profile: pd.DataFrame, models: tuple[str, ...]) -> ProfileError:
    """Return the error of a latency profile: dollars follow from full batches, seconds from single calls.

    The profile holds the median absolute relative error of held-out calls.
    """
    by_call = profile.set_index(["concurrency", "model"])["heldout_error"]
    columns = {"cost_usd": "saturated", "latency_s": "one"}
    found = {name: by_call[kind].loc[list(models)].to_numpy(float) for name, kind in columns.items()}
    return ProfileError(models, {name: error / _MEDIAN_ERROR for name, error in found.items()})


def with_profile_error(
    estimates: pd.DataFrame, matrix: StrategyMatrix, called: Mapping[str, NDArray[np.bool_]], error: ProfileError
) -> pd.DataFrame:
    """Return ESTIMATES whose intervals of dollars and seconds are widened by the profile's error.

    `called` is tasks × models by strategy; a strategy without an entry draws its model at random, and its shares follow
    from its expected costs. Errors of models are independent, and add to the sampling error on the logarithmic scale.
    """
    weights = {name: rows.astype(float) for name, rows in matrix.domains().items()}
    weights[MACRO] = matrix.equal_domain_weights()
    widened = estimates.copy()
    rows = estimates["metric"].isin(_METRICS) & estimates["low"].notna() & estimates["strategy"].isin(matrix.strategies)
    for index in estimates.index[rows & estimates["domain"].isin(list(weights))]:
        row = estimates.loc[index]
        column, is_ratio = _METRICS[row["metric"]]
        spent = _spent(
            matrix, error.models, (row["strategy"], column), called.get(row["strategy"]), weights[row["domain"]]
        )
        most_expensive = np.arange(spent.size) == spent.size - 1
        effect = most_expensive - spent if is_ratio else spent
        spread = float(np.sqrt(np.sum((effect * error.by_column[column]) ** 2)))
        if spread > 0:
            widened.loc[index, ["low", "high"]] = _wider(row, spread)
            widened.loc[index, "method"] = f"{row['method']}, with the latency profile's held-out error"
    return widened


def _spent(
    matrix: StrategyMatrix,
    models: tuple[str, ...],
    at: tuple[str, str],
    called: NDArray[np.bool_] | None,
    weight: Floats,
) -> Floats:
    """Return the share of a strategy's dollars or seconds that goes to each model; the rest is the router's own.

    `at` is the strategy and the column.
    """
    strategy, column = at
    values = matrix.values[column]
    of_models = values[:, [matrix.column(constant(model)) for model in models]]
    total = float(weight @ values[:, matrix.column(strategy)])
    if called is None:
        shares, _ = nnls(of_models * weight[:, None], values[:, matrix.column(strategy)] * weight)
        return weight @ (of_models * shares) / total
    return weight @ np.where(called, of_models, 0.0) / total


def _wider(row: pd.Series, spread: float) -> tuple[float, float]:
    beyond = float(special.ndtri((1 + row["level"]) / 2)) * spread
    below, above = (np.hypot(np.log(row["estimate"] / row[end]), beyond) for end in ("low", "high"))
    return row["estimate"] * np.exp(-below), row["estimate"] * np.exp(above)
