"""Fit one strategy anew on other splits of the same tasks, and say how much its results vary with that.

    python -m experiments.refits routing=logistic
    python -m experiments.refits routing=logistic statistics.refits=50

Intervals of `experiments.analyze` are conditional on one fitted router. Here groups of tasks are dealt out anew to fit,
calibration and evaluation, 30 : 20 : 50; everything else is as in `experiments.run`. The splits overlap, and the
interval over refits is corrected for that. Confidences stay as calibrated on the recorded fit tasks. Writes refits.csv
beside the strategy's run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments import inputs
from experiments.config import entry
from experiments.router_overhead import overhead_of
from experiments.side_reads import with_side_tables
from slm_orchestration import artifacts
from slm_orchestration.routing import replay
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.references import upper_hull
from slm_orchestration.statistics.metrics import mixture
from slm_orchestration.statistics.sensitivity import over_refits

SHARES = {"fit": 0.3, "calibration": 0.2, "evaluation": 0.5}
METRICS = ("gain_over_mixture", "retention", "cost_saving", "small_share")


def main(cfg: DictConfig) -> None:
    """Print and write what each refit gave, and the interval over them."""
    configured = instantiate(cfg.routing.strategy, _convert_="all")
    outcomes = with_side_tables(cfg, configured, inputs.load_outcomes(cfg))
    rows = [
        row | {"refit": number}
        for number in range(cfg.statistics.refits)
        for row in _refit(cfg, resplit(outcomes, np.random.default_rng([cfg.seed, number])))
    ]
    frame = pd.DataFrame(rows)
    ratio = SHARES["evaluation"] / SHARES["fit"]
    for strategy, table in frame.groupby("strategy"):
        print(
            f"\n{strategy}, {len(table)} refits, {cfg.statistics.level:.0%} intervals corrected for overlapping splits"
        )
        for metric in METRICS:
            effect = over_refits(table[metric].to_numpy(float), test_over_training=ratio, level=cfg.statistics.level)
            spread = table[metric].std(ddof=1)
            print(
                f"  {metric:<18} {effect.estimate:8.4f} [{effect.low:.4f}, {effect.high:.4f}]  deviation {spread:.4f}"
            )
    path = Path(cfg.paths.results) / cfg.routing.name / "refits.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ["strategy", "refit", *METRICS]
    artifacts.write_text(path, frame[columns].to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    print(f"\ntable: {path}")


def resplit(outcomes: OutcomeMatrix, rng: np.random.Generator) -> OutcomeMatrix:
    """Return the outcomes with their groups dealt out anew to fit, calibration and evaluation."""
    groups, code = np.unique(outcomes.tasks["group"].to_numpy(str), return_inverse=True)
    place = (rng.permutation(groups.size) + 0.5) / groups.size
    bounds = np.cumsum(list(SHARES.values()))[:-1]
    split = np.array(list(SHARES))[np.searchsorted(bounds, place)]
    return replace(outcomes, tasks=outcomes.tasks.assign(split=split[code]))


def _refit(cfg: DictConfig, outcomes: OutcomeMatrix) -> list[dict[str, object]]:
    calibration, evaluation = outcomes.where("calibration"), outcomes.where("evaluation")
    strategy = instantiate(cfg.routing.strategy, _convert_="all").fit(outcomes.where("fit"), calibration)
    overhead = overhead_of(cfg, strategy, calibration)
    rule = instantiate(cfg.operating_point, _convert_="all")
    thresholds = np.unique([*cfg.thresholds, *rule.extra_thresholds()])
    tuned = strategy.choose(calibration, thresholds)
    rows: list[dict[str, object]] = []
    for name, choices in strategy.choose(evaluation, thresholds).items():
        point = rule.choose(replay.replay(name, tuned[name], calibration, overhead=overhead), calibration).position
        replayed = replay.replay(name, choices, evaluation, overhead=overhead)
        quality, cost = float(replayed.quality[point].mean()), float(replayed.cost_usd[point].mean())
        mixed = _mixture(cost, calibration, evaluation)
        dearest = evaluation.quality[:, -1].mean(), evaluation.cost_usd[:, -1].mean()
        values = (
            quality - mixed,
            quality / dearest[0],
            dearest[1] / cost if cost > 0 else np.nan,
            1 - float(replayed.escalated[point].mean()),
        )
        rows.append({"strategy": name} | dict(zip(METRICS, values, strict=True)))
    return rows


def _mixture(cost: float, calibration: OutcomeMatrix, evaluation: OutcomeMatrix) -> float:
    """Quality of the mixture at `cost`: vertices from calibration tasks, their means from evaluation tasks."""
    vertices = upper_hull(calibration.cost_usd.mean(axis=0), calibration.quality.mean(axis=0))
    guessed = float(evaluation.tasks["guess_quality"].mean())
    costs = np.append(0.0, evaluation.cost_usd.mean(axis=0)[vertices])
    qualities = np.append(guessed, evaluation.quality.mean(axis=0)[vertices])
    return float(mixture(np.array([[cost]]), costs[None], qualities[None])[0, 0])


if __name__ == "__main__":
    entry(main, "experiments.refits")
