"""The metrics of one operating point as functions of means, for estimates, resamples and the jackknife alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics.strategy_matrix import References

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Means:
    """Means of every strategy in many resamples: each array is resamples × strategies, in the order of `strategies`."""

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
    def dearest_quality(self) -> Floats:
        """Mean quality of the dearest model."""
        return self.of(self.references.dearest, self.quality)

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
    """Mean quality over the dearest model's."""
    return divide(means.quality, means.dearest_quality)


def retention_corrected(means: Means) -> Floats:
    """Retention of the quality above guess: (q_r - q_0) / (q_L - q_0)."""
    return divide(means.quality - means.guess_quality, means.dearest_quality - means.guess_quality)


def pgr(means: Means) -> Floats:
    """Performance gap recovered: (q_r - q_S) / (q_L - q_S) (Ong et al. 2024, RouteLLM)."""
    return divide(means.quality - means.cheapest_quality, means.dearest_quality - means.cheapest_quality)


def cost_saving(means: Means) -> Floats:
    """Total cost of the dearest model over that of the strategy."""
    return _if_measured(means, "cost_usd", divide(means.of(means.references.dearest, means.cost_usd), means.cost_usd))


def latency_reduction(means: Means) -> Floats:
    """Mean latency of the dearest model over that of the strategy."""
    return divide(means.of(means.references.dearest, means.latency_s), means.latency_s)


def device_seconds_saved(means: Means) -> Floats:
    """Share of the dearest model's device seconds that the strategy does not need: 1 - its sum over that sum."""
    return 1.0 - divide(means.device_s, means.of(means.references.dearest, means.device_s))


def gain_over_mixture(means: Means) -> Floats:
    """Mean quality less what mixing constant models at random gives at the same mean cost: the primary metric."""
    costs, qualities = hull(means)
    return without_rounding(means.quality - mixture(means.cost_usd, costs, qualities), 1.0)


def hull(means: Means) -> tuple[Floats, Floats]:
    """Mean cost and quality of the mixture's vertices, resamples × vertices, after guess at no cost if there is one.

    The vertices are those fixed on calibration, in their order. A strategy cheaper than the cheapest of them can only
    be mixing it with an answer that costs nothing, so the line starts at guess. Counted in calls nothing is cheaper
    than a small model, so there it starts at the first vertex.
    """
    vertices = [means.strategies.index(name) for name in hull_strategies(means.references)]
    costs = means.cost_usd[:, vertices]
    if means.references.free is not None:
        costs[:, 0] = 0.0
    return costs, means.quality[:, vertices]


def hull_strategies(references: References) -> list[str]:
    """The strategies at the mixture's vertices, guess first where it is cheaper than any model."""
    if references.free is None:
        return list(references.hull)
    return [references.free, *(name for name in references.hull if name != references.free)]


def mixture(cost: Floats, costs: Floats, qualities: Floats) -> Floats:
    """Quality at `cost` (resamples × strategies) on the line through each resample's vertices; flat beyond its ends.

    nan where the vertices, in their fixed order, do not get dearer on the resample's tasks.
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


def _if_measured(means: Means, column: str, values: Floats) -> Floats:
    return np.full_like(values, np.nan) if column in means.references.unmeasured else values


def without_rounding(differences: Floats, scale: float) -> Floats:
    """Return the differences with those that are nothing but rounding, at values of the size `scale`, as 0."""
    return np.where(np.abs(differences) <= 1e-12 * scale, 0.0, differences)


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """Divide, with nan where the denominator is 0: undefined, never infinite."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


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
        pgr,
    )
}
