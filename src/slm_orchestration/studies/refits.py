"""Fit one strategy on other splits of the same tasks, to see how much its results vary with the split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from slm_orchestration.routing import replay
from slm_orchestration.routing.operating_point import OperatingPoint
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.references import mixture_models, most_expensive_always
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.strategy import FittedRoutedStrategy, FittedStrategy, Strategy, declared, shown
from slm_orchestration.statistics.metrics import mixture
from slm_orchestration.studies.curve_metrics import SweptStrategy, mean_gain

SHARES = {"fit": 0.3, "calibration": 0.2, "evaluation": 0.5}
METRICS = ("mean_gain", "gain_over_mixture", "retention", "cost_saving", "small_share")
MeasureOverhead = Callable[[FittedStrategy, OutcomeMatrix], Overhead]


def resplit(outcomes: OutcomeMatrix, rng: np.random.Generator) -> OutcomeMatrix:
    """Return the outcomes with whole groups assigned at random to fit, calibration and evaluation by `SHARES`."""
    groups, code = np.unique(outcomes.tasks["group"].to_numpy(str), return_inverse=True)
    position = rng.permutation(groups.size) / groups.size
    ends = np.cumsum(list(SHARES.values()))[:-1]
    split = np.array(list(SHARES))[np.searchsorted(ends, position, side="right")]
    return replace(outcomes, tasks=outcomes.tasks.assign(split=split[code]))


def fold_splits(outcomes: OutcomeMatrix, folds: int, rng: np.random.Generator) -> Iterator[OutcomeMatrix]:
    """Yield the outcomes once per fold of whole groups, which then is the evaluation split; each task is in one fold.

    Of the other tasks, as many are fit and calibration tasks as in `SHARES` of all; the rest are left out.
    """
    groups, code = np.unique(outcomes.tasks["group"].to_numpy(str), return_inverse=True)
    order = rng.permutation(groups.size)
    for fold in range(folds):
        evaluation = order % folds == fold
        others = rng.permutation(np.flatnonzero(~evaluation))
        ends = np.round(np.cumsum([SHARES["fit"], SHARES["calibration"]]) * groups.size).astype(int)
        split = np.full(groups.size, "", dtype="<U11")
        split[evaluation], split[others[: ends[0]]] = "evaluation", "fit"
        split[others[ends[0] : ends[1]]] = "calibration"
        assigned = split[code]
        yield replace(outcomes, tasks=outcomes.tasks.assign(split=assigned)).take(np.flatnonzero(assigned != ""))


def refit(
    outcomes: OutcomeMatrix,
    strategy: Strategy,
    operating_point: OperatingPoint,
    grid: Sequence[float],
    overhead_of: MeasureOverhead,
) -> list[dict[str, object]]:
    """Fit, choose a threshold on calibration tasks and replay on evaluation tasks, as `experiments.run` does.

    Returns a row per strategy (a constant strategy has one per model) with `METRICS` at the operating point.
    """
    calibration, evaluation = outcomes.where("calibration"), outcomes.where("evaluation")
    fitted = strategy.fit(outcomes.where("fit"), calibration)
    overhead = overhead_of(fitted, calibration)
    thresholds = np.unique([*grid, *operating_point.extra_thresholds()])
    reads = declared(strategy)
    tuned = fitted.choose(shown(fitted, reads, calibration), thresholds)
    rows: list[dict[str, object]] = []
    for name, choices in fitted.choose(shown(fitted, reads, evaluation), thresholds).items():
        on_calibration = replay.replay(name, tuned[name], calibration, overhead=overhead)
        chosen = operating_point.choose(on_calibration, calibration)
        replayed, point = replay.replay(name, choices, evaluation, overhead=overhead), chosen.position
        if chosen.most_expensive_always:
            replayed, point = most_expensive_always(name, evaluation), 0
        quality, cost = float(replayed.quality[point].mean()), float(replayed.cost_usd[point].mean())
        quality_of_last, cost_of_last = evaluation.quality[:, -1].mean(), evaluation.cost_usd[:, -1].mean()
        values = (
            _mean_gain(fitted, calibration, evaluation, overhead),
            quality - _mixture(cost, calibration, evaluation),
            quality / quality_of_last,
            cost_of_last / cost if cost > 0 else np.nan,
            1 - float(replayed.escalated[point].mean()),
        )
        rows.append({"strategy": name} | dict(zip(METRICS, values, strict=True)))
    return rows


def _mean_gain(
    fitted: FittedStrategy, calibration: OutcomeMatrix, evaluation: OutcomeMatrix, overhead: Overhead
) -> float:
    """Return the mean gain over 20 costs; nan for a strategy without a router, whose breakpoints are not known."""
    if not isinstance(fitted, FittedRoutedStrategy) or calibration.cost_unit != "usd":
        return np.nan
    tuned, reported = (fitted.changes(part, overhead=overhead) for part in (calibration, evaluation))
    nowhere = np.zeros(len(evaluation))
    made = mean_gain(SweptStrategy(fitted.name, calibration, evaluation, tuned, reported, None, (nowhere, nowhere)))
    return made.metric(made.values.mean(axis=0))


def _mixture(cost: float, calibration: OutcomeMatrix, evaluation: OutcomeMatrix) -> float:
    """Quality of the mixture at `cost`: vertices from calibration tasks, their means from evaluation tasks."""
    vertices = mixture_models(calibration)
    guessed = float(evaluation.tasks["guess_quality"].mean())
    costs = np.append(0.0, evaluation.cost_usd.mean(axis=0)[vertices])
    qualities = np.append(guessed, evaluation.quality.mean(axis=0)[vertices])
    return float(mixture(np.array([[cost]]), costs[None], qualities[None])[0, 0])
