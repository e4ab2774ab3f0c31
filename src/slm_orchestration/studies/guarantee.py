"""How often does a guaranteed operating point miss its target, and what does the guarantee cost? A simulation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.evaluation import evaluate
from slm_orchestration.routing.operating_point import GuaranteedRetention, OperatingPoint, Retention
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.references import one_model_each
from slm_orchestration.routing.replay import Overhead, Replayed, replay
from slm_orchestration.routing.strategy import Strategy, declared
from slm_orchestration.statistics.intervals import wilson

IGNORING_GROUPS = "ignoring groups"
_POPULATION = 200_000
_ALWAYS = -1  # in place of a position: the most expensive model on every task
_GRID = np.linspace(0, 1, 41)


@dataclass(frozen=True)
class Draws:
    """How many calibration tasks are drawn in each of `repetitions`; the `per_group` tasks of a group are all alike."""

    tasks: int
    repetitions: int
    per_group: int = 1


def simulate(draws: Draws, *, target: float, delta: float, seed: int) -> pd.DataFrame:
    """Return how often the threshold chosen by the plug-in and the guaranteed rule misses the target in the population.

    Each repetition draws calibration tasks of a pair of models and a weakly informative router. "ignoring groups" is
    the guaranteed rule told that every task is a group of its own. Columns: rule, violations (a rate, with its 95 %
    Wilson interval low and high), small_share (mean over repetitions), best_small_share (of the cheapest threshold that
    keeps the target in the population).
    """
    rng = np.random.default_rng(seed)
    population, _ = _drawn(_POPULATION, 1, rng)
    true_quality, large = population.quality.mean(axis=1), population.quality[0].mean()
    small_share = 1 - population.escalated.mean(axis=1)
    keeps = true_quality >= target * large
    rules: dict[str, OperatingPoint] = {
        "plug-in": Retention(target),
        "guaranteed": GuaranteedRetention(target, delta, seed),
    }
    if draws.per_group > 1:
        rules[IGNORING_GROUPS] = rules["guaranteed"]
    chosen: dict[str, list[int]] = {name: [] for name in rules}
    for _ in range(draws.repetitions):
        replayed, calibration = _drawn(draws.tasks, draws.per_group, rng)
        alone = replace(calibration, tasks=calibration.tasks.assign(group=range(draws.tasks)))
        for name, rule in rules.items():
            point = rule.choose(replayed, alone if name == IGNORING_GROUPS else calibration)
            chosen[name].append(_ALWAYS if point.most_expensive_always else point.position)
    rows = []
    keeps, small_share = np.append(keeps, True), np.append(small_share, 0.0)  # the most expensive model always
    for name, positions in chosen.items():
        rate = float((~keeps[positions]).mean())
        low, high = wilson(rate, draws.repetitions, level=0.95)
        rows.append((name, rate, low, high, small_share[positions].mean(), small_share[keeps].max()))
    return pd.DataFrame(rows, columns=["rule", "violations", "low", "high", "small_share", "best_small_share"])


def certified_points(
    outcomes: OutcomeMatrix,
    strategy: Strategy,
    thresholds: NDArray[np.float64],
    *,
    target: float,
    delta: float,
    seed: int,
) -> list[dict[str, object]]:
    """Return what a strategy's certified threshold gives on evaluation tasks; no row for strategies without thresholds.

    Keys: strategy, target, threshold (nan: the most expensive model always), certified, retention, small_share,
    cost_saving. A router's own cost is not included.
    """
    calibration, evaluation = outcomes.where("calibration"), outcomes.where("evaluation")
    fitted, reads = strategy.fit(outcomes.where("fit"), calibration), declared(strategy)
    rule, rows = GuaranteedRetention(target, delta, seed), []
    for found in evaluate(
        fitted, rule, calibration, evaluation, reads=reads, thresholds=thresholds, overhead=Overhead()
    ):
        if not found.has_thresholds:
            continue
        quality, cost = (getattr(found.served, name)[found.position].mean() for name in ("quality", "cost_usd"))
        rows.append(
            {
                "strategy": found.name,
                "target": target,
                "threshold": found.threshold,
                "certified": found.chosen.certified,
                "retention": quality / evaluation.quality[:, -1].mean(),
                "small_share": 1 - found.served.escalated[found.position].mean(),
                "cost_saving": evaluation.cost_usd[:, -1].mean() / cost if cost > 0 else np.nan,
            }
        )
    return rows


def _drawn(tasks: int, per_group: int, rng: np.random.Generator) -> tuple[Replayed, OutcomeMatrix]:
    """Return a replay of a pair: the large model is right on 80 % of tasks, the small one on fewer at high scores.

    Tasks of a group have one score and one draw of what is right.
    """
    group = np.arange(tasks) // per_group
    score, luck, loss = rng.random((3, group[-1] + 1))[:, group]
    large = luck < 0.8
    small = np.where(loss < 0.35 * score, False, large)
    quality = np.column_stack([small, large]).astype(float)
    cost = np.tile([1.0, 10.0], (tasks, 1))
    frame = pd.DataFrame({"guess_quality": np.zeros(tasks), "group": group})
    outcomes = OutcomeMatrix(frame, ("small", "large"), frozenset({"small"}), quality, cost, cost, cost, frame)
    choices = one_model_each((score[None] >= _GRID[:, None]).astype(int), 2, _GRID)
    return replay("simulated", choices, outcomes, overhead=Overhead()), outcomes
