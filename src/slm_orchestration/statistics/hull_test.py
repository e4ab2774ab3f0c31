"""Is a strategy better than every mixture of constant models at its cost? A test that chooses no mixture beforehand.

A mixture of few models, chosen on few tasks, may miss the best one; a strategy that comes close to the missed one then
seems to beat "the mixture". Here the strategy is tested against each model alone that costs no more, and against each
mix of two models around its cost (METRICS.md; statistics.metrics has the formula of a difference per task). It is
better than the best of them only if it is better than all, so the largest of the p-values is one of that hypothesis,
without a correction (an intersection-union test: Berger 1982). Mixing more than two models at one cost is never better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.statistics import paired_tests
from slm_orchestration.statistics.resampling import Design

Floats = NDArray[np.float64]
_BLOCK = 64  # mixtures that are compared at a time, so that memory does not grow with their number
_SMALLEST_P = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Nearest:
    """The mixture that a strategy is least clearly better than, and the one-sided p of being better than it.

    `models` are one or two columns of the constants, `share` that of the second one, `gain` the mean difference.
    """

    models: tuple[int, ...]
    share: float
    gain: float
    p_value: float


def nearest_mixture(quality: Floats, cost: Floats, constants: tuple[Floats, Floats], design: Design) -> Nearest:
    """Return the mixture of the largest p among all at the strategy's mean cost.

    `quality` and `cost` hold the strategy's value on each task, `constants` the models' quality and cost, tasks ×
    models.
    """
    model_cost, target = constants[1].mean(axis=0), float(cost.mean())
    affordable = np.flatnonzero(model_cost <= target * (1 + 1e-9))
    if not affordable.size:  # cheaper than every model: it is compared with the cheapest ones
        affordable = np.flatnonzero(model_cost <= model_cost.min() * (1 + 1e-9))
    expensive = np.flatnonzero(model_cost > target * (1 + 1e-9))
    mixtures: list[tuple[int, ...]] = [(int(one),) for one in affordable]
    mixtures += [(int(one), int(other)) for one in affordable for other in expensive if model_cost[one] <= target]
    found = [
        part
        for start in range(0, len(mixtures), _BLOCK)
        for part in _compared(quality, cost, constants, mixtures[start : start + _BLOCK], design)
    ]
    return max(found, key=lambda one: (one.p_value, -one.gain))


def _compared(
    quality: Floats, cost: Floats, constants: tuple[Floats, Floats], mixtures: Sequence[tuple[int, ...]], design: Design
) -> list[Nearest]:
    differences, shares = np.empty((len(quality), len(mixtures))), []
    for column, models in enumerate(mixtures):
        first_quality, first_cost = (values[:, models[0]] for values in constants)
        if len(models) == 1:
            differences[:, column] = quality - first_quality
            shares.append(0.0)
            continue
        step_quality, step_cost = (values[:, models[1]] - values[:, models[0]] for values in constants)
        share = float((cost.mean() - first_cost.mean()) / step_cost.mean())
        slope = float(step_quality.mean() / step_cost.mean())
        mixed_quality, mixed_cost = first_quality + share * step_quality, first_cost + share * step_cost
        differences[:, column] = quality - mixed_quality - slope * (cost - mixed_cost)
        shares.append(share)
    gains = differences.mean(axis=0)
    _, p_values = paired_tests.one_sided_t(differences, design)
    # Differences that are the same on every task need no test.
    p_values = np.where(np.isnan(p_values), np.where(gains > 1e-12, _SMALLEST_P, 1.0), p_values)
    return [
        Nearest(models, share, float(gain), float(p))
        for models, share, gain, p in zip(mixtures, shares, gains, p_values, strict=True)
    ]
