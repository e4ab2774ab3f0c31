"""A fitted strategy on calibration and evaluation tasks, and at the threshold that is chosen for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing.operating_point import Chosen, OperatingPoint
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.references import most_expensive_always
from slm_orchestration.routing.replay import Choices, Overhead, Replayed, replay
from slm_orchestration.routing.strategy import FittedStrategy, shown


@dataclass(frozen=True)
class Evaluated:
    """One strategy, replayed at every threshold on the tasks of both splits; `choices` are those on evaluation tasks.

    `served` at `position` is the replay on evaluation tasks at the operating point: that of the chosen threshold, or
    the most expensive model on every task, whose `threshold` is nan.
    """

    name: str
    choices: Choices
    on_calibration: Replayed
    on_evaluation: Replayed
    chosen: Chosen
    served: Replayed
    position: int

    @property
    def threshold(self) -> float:
        """The threshold of the operating point; nan without one."""
        return np.nan if self.chosen.most_expensive_always else float(self.choices.thresholds[self.position])

    @property
    def has_thresholds(self) -> bool:
        """Whether the strategy depends on a threshold at all; a constant does not."""
        return not np.isnan(self.choices.thresholds).all()


def evaluate(
    fitted: FittedStrategy,
    rule: OperatingPoint,
    calibration: OutcomeMatrix,
    evaluation: OutcomeMatrix,
    *,
    reads: frozenset[str],
    thresholds: Sequence[float] | NDArray[np.float64],
    overhead: Overhead,
) -> Iterator[Evaluated]:
    """Yield every strategy of `fitted` (a constant strategy has one per model), its threshold chosen by `rule`.

    `reads` is what the strategy's class declares (`strategy.declared`); `rule` may add thresholds of its own.
    """
    every = np.unique([*thresholds, *rule.extra_thresholds()])
    tuned = fitted.choose(shown(fitted, reads, calibration), every)
    for name, choices in fitted.choose(shown(fitted, reads, evaluation), every).items():
        before = replay(name, tuned[name], calibration, overhead=overhead)
        chosen = rule.choose(before, calibration)
        after = replay(name, choices, evaluation, overhead=overhead)
        served, position = after, chosen.position
        if chosen.most_expensive_always:
            served, position = most_expensive_always(name, evaluation), 0
        yield Evaluated(name, choices, before, after, chosen, served, position)
