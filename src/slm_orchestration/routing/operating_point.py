"""How the one threshold that is reported gets chosen: on calibration tasks, or fixed beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Replayed
from slm_orchestration.statistics.guarantees import betting_p_values, certified


@dataclass(frozen=True)
class Chosen:
    """The chosen position among the replayed thresholds, and why, in words."""

    position: int
    reason: str


class OperatingPoint(Protocol):
    """Chooses a threshold from a strategy's replay on calibration tasks."""

    def extra_thresholds(self) -> list[float]:
        """Return thresholds that must be replayed beside the configured grid."""
        ...

    def choose(self, replayed: Replayed, calibration: OutcomeMatrix) -> Chosen: ...


@dataclass(frozen=True)
class Fixed:
    """The same threshold for every strategy, fixed before any outcome was seen."""

    threshold: float

    def extra_thresholds(self) -> list[float]:
        return [self.threshold]

    def choose(self, replayed: Replayed, calibration: OutcomeMatrix) -> Chosen:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"operating_point.threshold is {self.threshold}; allowed is 0 to 1")
        position = int(np.argmin(np.abs(replayed.choices.thresholds - self.threshold)))
        return Chosen(position, f"fixed at {self.threshold:g}")


@dataclass(frozen=True)
class Retention:
    """The cheapest threshold whose mean quality on calibration tasks keeps `target` of the dearest model's.

    A plug-in choice without a guarantee. Where no threshold keeps that much, the one of the highest quality.
    """

    target: float

    def extra_thresholds(self) -> list[float]:
        return []

    def choose(self, replayed: Replayed, calibration: OutcomeMatrix) -> Chosen:
        quality, cost = replayed.quality.mean(axis=1), replayed.cost_usd.mean(axis=1)
        wanted = self.target * calibration.quality[:, -1].mean()
        kept = np.flatnonzero(quality >= wanted - 1e-12)
        if kept.size == 0:
            return Chosen(int(quality.argmax()), f"highest quality: none keeps {self.target:g} on calibration tasks")
        return Chosen(int(kept[cost[kept].argmin()]), f"cheapest that keeps {self.target:g} on calibration tasks")


@dataclass(frozen=True)
class GuaranteedRetention:
    """The cheapest threshold certified to keep `target` of the dearest model's quality with probability 1 - delta.

    Learn-then-Test over thresholds from dearest to cheapest, on the loss target·q_L - q_r per calibration task. The
    guarantee holds over exchangeable tasks, on average over them and not per domain.
    """

    target: float
    delta: float
    seed: int

    def extra_thresholds(self) -> list[float]:
        return []

    def choose(self, replayed: Replayed, calibration: OutcomeMatrix) -> Chosen:
        order = np.random.default_rng(self.seed).permutation(len(calibration))
        loss = (self.target * calibration.quality[:, -1] - replayed.quality)[:, order]
        count = certified(betting_p_values(loss, 0.0, bounds=(-1.0, self.target)), delta=self.delta)
        certainty = f"probability {1 - self.delta:g}"
        if count == 0:
            return Chosen(0, f"dearest: no threshold is certified to keep {self.target:g} with {certainty}")
        return Chosen(count - 1, f"cheapest certified to keep {self.target:g} with {certainty}")
