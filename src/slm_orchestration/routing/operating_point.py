"""Operating points: the one threshold that is reported, chosen on calibration tasks or fixed beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Replayed
from slm_orchestration.statistics.guarantees import betting_p_values, certified, group_means

AIMS = ("retention", "same_quality", "budget", "best_quality")
AIMS_IN_WORDS = f"{', '.join(AIMS[:-1])} or {AIMS[-1]}"


@dataclass(frozen=True)
class Chosen:
    """The chosen position among the replayed thresholds, why it was chosen, and whether its target is certified.

    With `most_expensive_always`, no threshold is taken: the most expensive model is called on every task.
    """

    position: int
    reason: str
    certified: bool = False
    most_expensive_always: bool = False


class OperatingPoint(Protocol):
    """Chooses a threshold from a strategy's replay on calibration tasks."""

    def extra_thresholds(self) -> list[float]:
        """Return thresholds to replay in addition to the configured grid."""
        ...

    def choose(self, replayed: Replayed, calibration: OutcomeMatrix) -> Chosen:
        """Return the choice; `replayed` is the strategy's replay on `calibration`."""
        ...


def operating_point_for(aim: str, *, target: float = 0.95, share: float = 0.5) -> OperatingPoint:
    """Return the plug-in rule of an aim: `target` is read by retention alone, `share` by budget alone.

    Raises ValueError naming the aims if there is no such aim.
    """
    rules: dict[str, OperatingPoint] = {
        "retention": Retention(target),
        "same_quality": Retention(1.0),
        "budget": Budget(share),
        "best_quality": BestQuality(),
    }
    if aim not in rules:
        raise ValueError(f"aim={aim}: allowed is {AIMS_IN_WORDS}")
    return rules[aim]


@dataclass(frozen=True)
class Fixed:
    """The same threshold for every strategy, whatever the outcomes."""

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
    """The cheapest threshold that keeps the share `target` of the reference's mean quality on calibration tasks.

    The reference is `OutcomeMatrix.reference`, the most expensive model unless another is named. A plug-in choice
    without a guarantee. Where no threshold qualifies, the one of the highest quality is taken.
    """

    target: float

    def extra_thresholds(self) -> list[float]:
        return []

    def choose(self, replayed: Replayed, calibration: OutcomeMatrix) -> Chosen:
        quality, cost = replayed.quality.mean(axis=1), replayed.cost_usd.mean(axis=1)
        wanted = self.target * calibration.quality[:, calibration.reference].mean()
        kept = np.flatnonzero(quality >= wanted - 1e-12)
        what = f"{calibration.reference_in_words}'s quality" if self.target == 1 else f"{self.target:g}"
        if kept.size == 0:
            return Chosen(int(quality.argmax()), f"highest quality: none keeps {what} on calibration tasks")
        return Chosen(int(kept[cost[kept].argmin()]), f"cheapest that keeps {what} on calibration tasks")


@dataclass(frozen=True)
class Budget:
    """The best mean quality among thresholds whose mean cost is at most the share `share` of the reference's.

    The reference is `OutcomeMatrix.reference`, the most expensive model unless another is named. A plug-in choice on
    calibration tasks without a guarantee. Where no threshold qualifies, the cheapest one is taken.
    """

    share: float

    def extra_thresholds(self) -> list[float]:
        return []

    def choose(self, replayed: Replayed, calibration: OutcomeMatrix) -> Chosen:
        if not 0 <= self.share <= 1:
            raise ValueError(f"operating_point.share is {self.share}; allowed is 0 to 1")
        quality, cost = replayed.quality.mean(axis=1), replayed.cost_usd.mean(axis=1)
        # Costs are fractions of a cent, so the room for rounding is relative.
        affordable = np.flatnonzero(
            cost <= self.share * calibration.cost_usd[:, calibration.reference].mean() * (1 + 1e-9)
        )
        budget = f"{self.share:g} of {calibration.reference_in_words}'s cost on calibration tasks"
        if affordable.size == 0:
            return Chosen(int(cost.argmin()), f"cheapest: none costs at most {budget}")
        return Chosen(_best(quality, cost, affordable), f"highest quality for at most {budget}")


@dataclass(frozen=True)
class BestQuality:
    """The highest mean quality on calibration tasks at any cost, which may exceed the most expensive model's."""

    def extra_thresholds(self) -> list[float]:
        return []

    def choose(self, replayed: Replayed, calibration: OutcomeMatrix) -> Chosen:
        quality, cost = replayed.quality.mean(axis=1), replayed.cost_usd.mean(axis=1)
        return Chosen(_best(quality, cost, np.arange(len(quality))), "highest quality on calibration tasks at any cost")


@dataclass(frozen=True)
class GuaranteedRetention:
    """The cheapest threshold certified to keep `target` of the reference's quality, with probability 1 - delta.

    The reference is `OutcomeMatrix.reference`, the most expensive model unless another is named. Learn-then-Test on the
    loss target·q_L - q_r (q_L of the reference, q_r of the strategy), betting on the means of groups of calibration
    tasks. The thresholds are tested in order from 0, where cost is highest, until one fails. If the first one fails,
    nothing is certified, and the most expensive model is called on every task. The guarantee is for the mean over
    exchangeable groups, not per domain. Source: Angelopoulos et al. 2021, "Learn then Test".
    """

    target: float
    delta: float
    seed: int

    def extra_thresholds(self) -> list[float]:
        return []

    def choose(self, replayed: Replayed, calibration: OutcomeMatrix) -> Chosen:
        if np.isnan(replayed.choices.thresholds).all():
            # A constant stays the model that it is named after, whatever it keeps.
            return Chosen(0, "no threshold to choose")
        loss = self.target * calibration.quality[:, calibration.reference] - replayed.quality
        loss = group_means(loss, calibration.tasks["group"], rng=np.random.default_rng(self.seed))
        count = certified(betting_p_values(loss, 0.0, bounds=(-1.0, self.target)), delta=self.delta)
        certainty = f"probability {1 - self.delta:g}"
        if count == 0:
            reason = f"the most expensive model always: no threshold is certified to keep {self.target:g}"
            return Chosen(0, f"{reason} with {certainty}", most_expensive_always=True)
        return Chosen(count - 1, f"cheapest certified to keep {self.target:g} with {certainty}", certified=True)


@dataclass(frozen=True)
class GuaranteedBudget:
    """The most expensive threshold certified to stay within a budget with probability 1 - delta.

    `measure` cost: the mean cost is at most `target` of the reference's. small_share: at least `target` of the tasks
    call small models only. Learn-then-Test on the means of groups, from threshold 1, where cost is lowest. As
    costs have no upper bound of their own, the guarantee is for tasks that cost no more than any calibration task.
    """

    measure: str
    target: float
    delta: float
    seed: int

    def extra_thresholds(self) -> list[float]:
        return []

    def choose(self, replayed: Replayed, calibration: OutcomeMatrix) -> Chosen:
        if self.measure == "small_share":
            loss, bounds = self.target - (1 - replayed.escalated), (self.target - 1, self.target)
        elif self.measure == "cost":
            loss = replayed.cost_usd - self.target * calibration.cost_usd[:, calibration.reference]
            largest = max(float(np.abs(loss).max()), 1e-12)
            bounds = (-largest, largest)
        else:
            raise ValueError(f"operating_point.measure is {self.measure!r}; allowed is cost or small_share")
        rng = np.random.default_rng(self.seed)
        in_sequence = group_means(np.asarray(loss[::-1], dtype=np.float64), calibration.tasks["group"], rng=rng)
        count = certified(betting_p_values(in_sequence, 0.0, bounds=bounds), delta=self.delta)
        asked, last = f"{self.measure} {self.target:g} with probability {1 - self.delta:g}", len(loss) - 1
        if count == 0:
            return Chosen(last, f"cheapest: no threshold is certified to keep {asked}")
        return Chosen(last - count + 1, f"most expensive certified to keep {asked}", certified=True)


def _best(quality: NDArray[np.float64], cost: NDArray[np.float64], among: NDArray[np.intp]) -> int:
    """Return the position of the highest quality among the given ones; equal qualities go to the cheaper."""
    best = among[quality[among] >= quality[among].max() - 1e-12]
    return int(best[cost[best].argmin()])
