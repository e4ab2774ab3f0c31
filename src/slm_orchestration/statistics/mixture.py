"""The mixture of constant models at a strategy's own mean cost, task by task.

A strategy's gain is its mean quality less the mixture's at its mean cost. Both depend on the same tasks, so a test
needs one difference per task whose mean is the gain and whose spread is the gain's to first order. On the segment
between two vertices a and b, with share w = (c - c_a) / (c_b - c_a) of b and slope s = (q_b - q_a) / (c_b - c_a),
that is

    q_r - [(1 - w) q_a + w q_b] - s · (c_r - [(1 - w) c_a + w c_b])

per task: the last bracket has mean 0, and carries what is uncertain about the cost at which the two are compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics.bootstrap import Resampled
from slm_orchestration.statistics.metrics import Means, hull, hull_strategies, mixture
from slm_orchestration.statistics.strategy_matrix import Panel

Floats = NDArray[np.float64]

MIXTURE = "mixture"


@dataclass(frozen=True)
class Mixed:
    """What the mixture is expected to give on each task (tasks × strategies), and the term of its uncertain cost."""

    expected: Floats
    cost_term: Floats


def mix(panel: Panel, part: Resampled, metric: str) -> Mixed:
    """Return the mixture at each strategy's mean cost on the tasks of `part`; `metric` is quality or latency_s."""
    rows = part.domain.rows
    cost = panel.values["cost_usd"][rows]
    vertex_cost, vertex_value = _vertices(panel, rows, "cost_usd"), _vertices(panel, rows, metric)
    mean_cost, mean_value = vertex_cost.mean(axis=0), vertex_value.mean(axis=0)
    expected, cost_term = np.full_like(cost, np.nan), np.zeros_like(cost)
    if np.any(np.diff(mean_cost) <= 0):
        # The vertices are not cheapest first on these tasks, so there is no mixture to speak of.
        return Mixed(expected, cost_term)
    for index, budget in enumerate(cost.mean(axis=0)):
        end = int(np.searchsorted(mean_cost, budget))
        if end == 0 or end == mean_cost.size:
            # At a cost of 0, or beyond the dearest vertex, the line is flat: cost makes no difference.
            expected[:, index] = vertex_value[:, min(end, mean_cost.size - 1)]
            continue
        step = mean_cost[end] - mean_cost[end - 1]
        share = (budget - mean_cost[end - 1]) / step
        slope = (mean_value[end] - mean_value[end - 1]) / step
        mixed_cost = (1 - share) * vertex_cost[:, end - 1] + share * vertex_cost[:, end]
        expected[:, index] = (1 - share) * vertex_value[:, end - 1] + share * vertex_value[:, end]
        cost_term[:, index] = slope * (cost[:, index] - mixed_cost)
    return Mixed(expected, cost_term)


def mixed_mean(means: Means, metric: str) -> Floats:
    """Return what the mixture gives at each strategy's mean cost, resamples × strategies."""
    costs, _ = hull(means)
    values: Floats = getattr(means, metric)
    vertices = np.column_stack([means.of(name, values) for name in hull_strategies(means.references)])
    return mixture(means.cost_usd, costs, vertices)


def _vertices(panel: Panel, rows: NDArray[np.bool_], metric: str) -> Floats:
    columns = [panel.column(name) for name in hull_strategies(panel.references)]
    values = panel.values[metric][rows][:, columns]
    if metric == "cost_usd" and panel.references.free is not None:
        values = values.copy()
        values[:, 0] = 0.0
    return values
