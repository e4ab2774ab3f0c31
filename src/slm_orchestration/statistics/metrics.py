"""Metrics of one operating point as functions of means, and the mixture of constant models at equal cost.

The same functions serve estimates, resamples and the jackknife. A strategy's gain is its mean quality less the
mixture's at its mean cost. Both depend on the same tasks, so a test needs one difference per task whose mean is the
gain and whose variance is the gain's to first order. On the segment between two vertices a and b, with share
w = (c - c_a) / (c_b - c_a) of b and slope s = (q_b - q_a) / (c_b - c_a), that difference is

    q_r - [(1 - w) q_a + w q_b] - s · (c_r - [(1 - w) c_a + w c_b])

per task. The last bracket has mean 0 and carries the sampling error of the cost at which the two are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics.strategy_matrix import CLASSIFIER, CONSTANT, GUESS, References, StrategyMatrix

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Means:
    """Means of every strategy in many resamples: each array is resamples × strategies, columns as in `strategies`."""

    strategies: list[str]
    references: References
    quality: Floats
    cost_usd: Floats
    latency_s: Floats
    small_share: Floats
    device_s: Floats

    def of(self, name: str, values: Floats) -> Floats:
        """One strategy's column of `values`, as resamples × 1."""
        return values[:, [self.strategies.index(name)]]

    @property
    def most_expensive_quality(self) -> Floats:
        """Mean quality of the most expensive model."""
        return self.of(self.references.most_expensive, self.quality)

    @property
    def cheapest_quality(self) -> Floats:
        """Mean quality of the cheapest model."""
        return self.of(self.references.cheapest, self.quality)

    @property
    def guess_quality(self) -> Floats:
        """Mean quality of guess, nan where there is none."""
        if self.references.guess is None:
            return np.full((len(self.quality), 1), np.nan)
        return self.of(self.references.guess, self.quality)


def quality(means: Means) -> Floats:
    """Mean quality."""
    return means.quality


def cost_usd(means: Means) -> Floats:
    """Mean US dollars per task."""
    return _if_measured(means, "cost_usd", means.cost_usd)


def latency_s(means: Means) -> Floats:
    """Mean seconds per task."""
    return _if_measured(means, "latency_s", means.latency_s)


def small_share(means: Means) -> Floats:
    """Share of tasks whose called models are all small."""
    return means.small_share


def retention(means: Means) -> Floats:
    """Mean quality over the most expensive model's."""
    return divide(means.quality, means.most_expensive_quality)


def retention_corrected(means: Means) -> Floats:
    """Retention of the quality above guess: (q_r - q_0) / (q_L - q_0)."""
    return divide(means.quality - means.guess_quality, means.most_expensive_quality - means.guess_quality)


def pgr(means: Means) -> Floats:
    """Performance gap recovered: (q_r - q_S) / (q_L - q_S) (Ong et al. 2024, RouteLLM)."""
    return divide(means.quality - means.cheapest_quality, means.most_expensive_quality - means.cheapest_quality)


def cost_saving(means: Means) -> Floats:
    """Total cost of the most expensive model over that of the strategy."""
    return _if_measured(
        means, "cost_usd", divide(means.of(means.references.most_expensive, means.cost_usd), means.cost_usd)
    )


def latency_reduction(means: Means) -> Floats:
    """Mean latency of the most expensive model over that of the strategy."""
    return divide(means.of(means.references.most_expensive, means.latency_s), means.latency_s)


def device_seconds_saved(means: Means) -> Floats:
    """Share of the most expensive model's device seconds that the strategy does not need: 1 - its sum over that sum."""
    return 1.0 - divide(means.device_s, means.of(means.references.most_expensive, means.device_s))


def gain_over_mixture(means: Means) -> Floats:
    """Mean quality less what mixing constant models at random gives at the same mean cost: the primary metric."""
    costs, qualities = mixture_vertices(means)
    return without_rounding(means.quality - mixture(means.cost_usd, costs, qualities), 1.0)


def gain_with_classifier(means: Means) -> Floats:
    """The same gain over a mixture that may also take the classifier's answers, which cost nothing.

    What a router gains above it is the gain that language models deserve: the rest is solved by a text classifier. The
    mixture is the upper hull of classifier, guess and all models on the tasks at hand, which favours the mixture.
    """
    if CLASSIFIER not in means.strategies or "cost_usd" in means.references.unmeasured:
        return np.full_like(means.quality, np.nan)
    free = [name for name in (CLASSIFIER, GUESS) if name in means.strategies]
    models = [name for name in means.strategies if name.startswith(CONSTANT)]
    columns = [means.strategies.index(name) for name in [*free, *models]]
    costs, qualities = means.cost_usd[:, columns].copy(), means.quality[:, columns]
    costs[:, : len(free)] = 0.0
    return without_rounding(means.quality - hull_quality(means.cost_usd, costs, qualities), 1.0)


def hull_quality(cost: Floats, costs: Floats, qualities: Floats) -> Floats:
    """Quality at `cost` (resamples × strategies) on the non-decreasing upper hull of each resample's points.

    The hull is the largest quality of any point no more expensive, and of any line between two points around the cost.
    """
    found = np.full(cost.shape, -np.inf)
    for a in range(costs.shape[1]):
        start, low = costs[:, [a]], qualities[:, [a]]
        found = np.where(start <= cost, np.maximum(found, low), found)
        for b in range(costs.shape[1]):
            end, high = costs[:, [b]], qualities[:, [b]]
            between = (start <= cost) & (cost < end)
            line = low + divide(high - low, end - start) * (cost - start)
            found = np.where(between, np.fmax(found, line), found)
    return found


def mixture_vertices(means: Means) -> tuple[Floats, Floats]:
    """Mean cost and quality of the mixture's vertices, resamples × vertices, in the order fixed on calibration tasks.

    The first vertex is guess at cost 0: a strategy that is cheaper than every model can only be mixing one with an
    answer that costs nothing. Where cost is counted in calls, no answer is cheaper than a small model's, and the first
    vertex is a model.
    """
    vertices = [means.strategies.index(name) for name in vertex_strategies(means.references)]
    costs = means.cost_usd[:, vertices]
    if means.references.zero_cost_vertex is not None:
        costs[:, 0] = 0.0
    return costs, means.quality[:, vertices]


def vertex_strategies(references: References) -> list[str]:
    """The strategies at the mixture's vertices, guess first where it is cheaper than every model."""
    if references.zero_cost_vertex is None:
        return list(references.hull)
    return [references.zero_cost_vertex, *(name for name in references.hull if name != references.zero_cost_vertex)]


def mixture(cost: Floats, costs: Floats, qualities: Floats) -> Floats:
    """Quality at `cost` (resamples × strategies) on the line through each resample's vertices; flat beyond its ends.

    nan where the cost of the vertices, in their fixed order, does not increase on the resample's tasks.
    """
    cost = np.maximum(cost, costs[:, [0]])
    value = np.broadcast_to(qualities[:, [-1]], cost.shape).copy()
    for end in range(costs.shape[1] - 1, 0, -1):
        start = end - 1
        slope = divide(qualities[:, [end]] - qualities[:, [start]], costs[:, [end]] - costs[:, [start]])
        on_line = qualities[:, [start]] + slope * (cost - costs[:, [start]])
        value = np.where(cost <= costs[:, [end]], on_line, value)
    in_order = np.all(np.diff(costs, axis=1) > 0, axis=1, keepdims=True)
    return np.where(in_order, value, np.nan)


def mixture_mean(means: Means, metric: str) -> Floats:
    """Return the mixture's mean `metric` at each strategy's mean cost, resamples × strategies."""
    costs, _ = mixture_vertices(means)
    values: Floats = getattr(means, metric)
    vertices = np.column_stack([means.of(name, values) for name in vertex_strategies(means.references)])
    return mixture(means.cost_usd, costs, vertices)


@dataclass(frozen=True)
class MixturePerTask:
    """The mixture's expected value on each task, and the term of its uncertain cost; both tasks × strategies."""

    expected: Floats
    cost_term: Floats


def mixture_per_task(matrix: StrategyMatrix, rows: NDArray[np.bool_], metric: str) -> MixturePerTask:
    """Return the mixture at each strategy's mean cost on the tasks of `rows`; `metric` is quality or latency_s."""
    cost = matrix.values["cost_usd"][rows]
    vertex_cost, vertex_value = _vertex_values(matrix, rows, "cost_usd"), _vertex_values(matrix, rows, metric)
    mean_cost, mean_value = vertex_cost.mean(axis=0), vertex_value.mean(axis=0)
    expected, cost_term = np.full_like(cost, np.nan), np.zeros_like(cost)
    if np.any(np.diff(mean_cost) <= 0):
        # The vertices are not cheapest first on these tasks, so the mixture is undefined.
        return MixturePerTask(expected, cost_term)
    for index, budget in enumerate(cost.mean(axis=0)):
        end = int(np.searchsorted(mean_cost, budget))
        if end == 0 or end == mean_cost.size:
            # At cost 0 and beyond the most expensive vertex the line is flat: the cost term is 0.
            expected[:, index] = vertex_value[:, min(end, mean_cost.size - 1)]
            continue
        step = mean_cost[end] - mean_cost[end - 1]
        share = (budget - mean_cost[end - 1]) / step
        slope = (mean_value[end] - mean_value[end - 1]) / step
        mixed_cost = (1 - share) * vertex_cost[:, end - 1] + share * vertex_cost[:, end]
        expected[:, index] = (1 - share) * vertex_value[:, end - 1] + share * vertex_value[:, end]
        cost_term[:, index] = slope * (cost[:, index] - mixed_cost)
    return MixturePerTask(expected, cost_term)


def without_rounding(differences: Floats, scale: float) -> Floats:
    """Return the differences, with 0 for those within rounding error of 0 at values of the size `scale`."""
    return np.where(np.abs(differences) <= 1e-12 * scale, 0.0, differences)


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """Divide, with nan where the denominator is 0: undefined, never infinite."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


def _if_measured(means: Means, column: str, values: Floats) -> Floats:
    return np.full_like(values, np.nan) if column in means.references.unmeasured else values


def _vertex_values(matrix: StrategyMatrix, rows: NDArray[np.bool_], metric: str) -> Floats:
    columns = [matrix.column(name) for name in vertex_strategies(matrix.references)]
    values = matrix.values[metric][rows][:, columns]
    if metric == "cost_usd" and matrix.references.zero_cost_vertex is not None:
        values = values.copy()
        values[:, 0] = 0.0
    return values


METRICS: dict[str, Callable[[Means], Floats]] = {
    function.__name__: function
    for function in (
        quality,
        cost_usd,
        latency_s,
        small_share,
        retention,
        retention_corrected,
        cost_saving,
        latency_reduction,
        device_seconds_saved,
        gain_over_mixture,
        gain_with_classifier,
        pgr,
    )
}
