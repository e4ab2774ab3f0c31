"""How many tasks it takes to show a retention, from the variance of recorded outcomes; and what a suite can show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from slm_orchestration.statistics import paired_tests
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.power import detectable_difference, pairs_needed
from slm_orchestration.statistics.resampling import Design

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """What recorded tasks tell about one strategy: qualities beside the dearest model's, and how tasks hang together.

    `strategy` and `dearest` are qualities per task. Tasks of a group count as far as they differ.
    """

    strategy: Floats
    dearest: Floats
    design: Design

    def spread(self, retention: float) -> tuple[float, float]:
        """Return the deviation, per group, of q_r - retention · q_L, and the tasks per group."""
        error, groups = paired_tests.standard_error((self.strategy - retention * self.dearest)[:, None], self.design)
        if not error[0] > 0:
            raise UndefinedStatistic("qualities that do not vary tell nothing about how many tasks are needed")
        return float(error[0]) * math.sqrt(groups), len(self.strategy) / groups


def tasks_for_interval(recorded: Recorded, *, retention: float, within: float, level: float) -> int:
    """Return how many tasks make the interval of retention ± `within` wide, if retention is as asked (delta method)."""
    spread, per_group = recorded.spread(retention)
    half_width = within * _dearest_quality(recorded)
    return math.ceil((float(special.ndtri((1 + level) / 2)) * spread / half_width) ** 2 * per_group)


def tasks_to_show(recorded: Recorded, *, retention: float, within: float, level: float) -> int:
    """Return how many tasks show, with a chance of 80 %, that a retention as asked is above itself less `within`.

    The one-sided paired t-test of q_r - (retention - within) · q_L, as in the test of non-inferiority.
    """
    spread, per_group = recorded.spread(retention - within)
    shift = within * _dearest_quality(recorded)
    return math.ceil(pairs_needed(shift, spread, alpha=(1 - level) / 2, sides=1) * per_group)


def detectable_with(recorded: Recorded, tasks: int, *, level: float) -> float:
    """Return the smallest difference in mean quality that `tasks` like the recorded ones show with a chance of 80 %."""
    spread, per_group = recorded.spread(1.0)
    groups = int(tasks / per_group)
    if groups < 2:
        raise UndefinedStatistic(f"a paired t-test needs at least 2 groups of tasks, {tasks} tasks make {groups}")
    return detectable_difference(spread, groups, alpha=1 - level)


def _dearest_quality(recorded: Recorded) -> float:
    quality = float(recorded.dearest.mean())
    if not quality > 0:
        raise UndefinedStatistic("retention is undefined: the dearest model is never right")
    return quality
