"""Which router at which threshold: what an aim chooses on calibration tasks.

The aim retention takes what Learn-then-Test certifies to keep the wanted share of the reference's quality; delta is
divided by the number of routers, so that the guarantee holds for the one that is taken. Other aims have no guarantee.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from slm_orchestration.routing.operating_point import (
    Budget,
    Chosen,
    GuaranteedRetention,
    OperatingPoint,
    operating_point_for,
)
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Replayed
from slm_orchestration.statistics.curves import upper_hull

# Of the reference's quality, for which a threshold may be certified; rounded, so that 0.85 is not less than 0.85.
_SHARES = np.round(np.linspace(0.5, 1.0, 51), 2)


@dataclass(frozen=True)
class AdviceSettings:
    """What the threshold is chosen for, one of operating_point.AIMS, and how to resample intervals.

    The aim retention keeps `retention` of the reference's quality with probability 1 - delta; budget spends at most
    `budget_share` of its cost. `reference` is a model, or None for the best one. With `domain_known`, requests carry
    their domain, so that a table by domain can route them.
    """

    retention: float = 0.95
    delta: float = 0.05
    resamples: int = 2000
    seed: int = 0
    aim: str = "retention"
    budget_share: float = 0.5
    reference: str | None = None
    domain_known: bool = False

    @property
    def kept(self) -> float | None:
        """The share of the reference's quality that the aim wants to keep; None where it wants none."""
        return {"retention": self.retention, "same_quality": 1.0}.get(self.aim)

    def rule(self) -> OperatingPoint:
        """Return the plug-in rule of the aim. Raises ValueError if there is no such aim."""
        return operating_point_for(self.aim, target=self.retention, share=self.budget_share)


@dataclass(frozen=True)
class ChosenThreshold:
    """A threshold of a router, whether it is certified to keep the retention, and why it was chosen.

    `certified_share` is the largest share of the reference's quality that is certified at it, null where none is.
    """

    router: str
    threshold: float
    guaranteed: bool
    reason: str
    certified_share: float | None = None


def chosen_points(
    replays: Mapping[str, Replayed], calibration: OutcomeMatrix, settings: AdviceSettings
) -> dict[str, Chosen]:
    """Return each strategy's operating point: for the aim retention a certified one where there is one."""
    chosen = {name: settings.rule().choose(replayed, calibration) for name, replayed in replays.items()}
    if settings.aim != "retention":
        return chosen
    rule = GuaranteedRetention(settings.retention, settings.delta / len(replays), settings.seed)
    certified = {name: rule.choose(replayed, calibration) for name, replayed in replays.items()}
    return chosen | {name: point for name, point in certified.items() if point.certified}


def with_certified_share(
    replayed: Replayed, point: Chosen, calibration: OutcomeMatrix, rule: GuaranteedRetention
) -> ChosenThreshold:
    """Return a chosen point with the largest share of the reference's quality that is certified at it."""
    threshold = float(replayed.choices.thresholds[point.position])
    if not point.certified:
        return ChosenThreshold(replayed.strategy, threshold, False, point.reason)
    shares = _SHARES[rule.target < _SHARES]

    def is_certified(share: float) -> bool:
        found = replace(rule, target=share).choose(replayed, calibration)
        return found.certified and found.position >= point.position

    low, high = 0, len(shares)  # shares[:low] are certified, shares[high:] are not
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if is_certified(float(shares[middle])) else (low, middle)
    share = float(shares[low - 1]) if low else rule.target
    return ChosenThreshold(replayed.strategy, threshold, True, point.reason, share)


def point_at_same_cost(replays: Mapping[str, Replayed], calibration: OutcomeMatrix) -> ChosenThreshold:
    """Return the router and threshold of the best calibration quality that cost no more than the reference."""
    found = {name: Budget(1.0).choose(replayed, calibration) for name, replayed in replays.items()}
    best = max(found, key=lambda name: _quality_and_cost(replays[name], found[name].position))
    threshold = float(replays[best].choices.thresholds[found[best].position])
    return ChosenThreshold(best, threshold, False, found[best].reason)


def preferred_router(
    replays: Mapping[str, Replayed], chosen: Mapping[str, Chosen], calibration: OutcomeMatrix, settings: AdviceSettings
) -> str:
    """Return the router to take: for retention the cheapest certified, else that of the largest gain over the mixture.

    Of certified ones at equal cost, the one of the best calibration quality. For another aim its own rule chooses among
    the routers' points as it chooses among thresholds.
    """
    names = list(replays)
    if settings.aim == "retention":
        return max(names, key=lambda name: _rank(replays[name], chosen[name], calibration))
    at = [(replays[name], chosen[name].position) for name in names]
    quality = np.stack([replayed.quality[position] for replayed, position in at])
    cost = np.stack([replayed.cost_usd[position] for replayed, position in at])
    points = replace(replays[names[0]], quality=quality, cost_usd=cost)
    return names[settings.rule().choose(points, calibration).position]


def _rank(replayed: Replayed, point: Chosen, calibration: OutcomeMatrix) -> tuple[bool, float, float]:
    quality, negative_cost = _quality_and_cost(replayed, point.position)
    if point.certified:
        return True, negative_cost, quality
    return False, _gain(replayed, point.position, calibration), quality


def _quality_and_cost(replayed: Replayed, position: int) -> tuple[float, float]:
    """Return mean quality and minus the mean cost, to 12 digits, so that rounding breaks no tie."""
    quality, cost = replayed.quality[position].mean(), replayed.cost_usd[position].mean()
    return round(float(quality), 12), -float(f"{cost:.12g}")


def _gain(replayed: Replayed, position: int, calibration: OutcomeMatrix) -> float:
    cost, quality = calibration.cost_usd.mean(axis=0), calibration.quality.mean(axis=0)
    hull = upper_hull(cost, quality)
    mixed = np.interp(replayed.cost_usd[position].mean(), cost[hull], quality[hull])
    return float(replayed.quality[position].mean() - mixed)
