"""Fit one strategy on other random splits of the same tasks, and print how much its results vary with the split.

    python -m experiments.refits routing=logistic
    python -m experiments.refits routing=logistic statistics.refits=50

Intervals of `experiments.analyze` are conditional on one fitted router. Here groups of tasks are assigned anew to fit,
calibration and evaluation, 30 : 20 : 50; everything else is as in `experiments.run`. The splits overlap, and the
interval over refits is corrected for that (Nadeau and Bengio). Confidences stay as calibrated on the recorded fit
tasks. Writes refits.csv beside the strategy's run.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from experiments.setup import inputs
from experiments.setup.build import build
from experiments.setup.config import entry
from slm_orchestration import artifacts
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.statistics.sensitivity import over_refits
from slm_orchestration.studies.refits import METRICS, SHARES, refit, resplit


def main(cfg: DictConfig) -> None:
    """Print and write what each refit gave, and the interval over them."""
    configured = build(cfg.routing.strategy)
    outcomes = inputs.with_side_tables(cfg, configured, inputs.load_outcomes(cfg))
    rows = [
        row | {"refit": number}
        for number in range(cfg.statistics.refits)
        for row in refit_configured(cfg, resplit(outcomes, np.random.default_rng([cfg.seed, number])))
    ]
    frame = pd.DataFrame(rows)
    for strategy, table in frame.groupby("strategy"):
        _print(str(strategy), table, cfg.statistics.level)
    path = Path(cfg.paths.results) / cfg.routing.name / "refits.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ["strategy", "refit", *METRICS]
    artifacts.write_text(path, frame[columns].to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    print(f"\ntable: {path}")


def refit_configured(cfg: DictConfig, outcomes: OutcomeMatrix) -> list[dict[str, object]]:
    """Fit the configured strategy on these outcomes; return a row of metrics per strategy."""
    strategy = build(cfg.routing.strategy)
    operating_point = build(cfg.operating_point)
    return refit(outcomes, strategy, operating_point, list(cfg.thresholds), partial(inputs.overhead_of, cfg))


def _print(strategy: str, table: pd.DataFrame, level: float) -> None:
    print(f"\n{strategy}, {len(table)} refits, {level:.0%} intervals corrected for overlapping splits")
    ratio = SHARES["evaluation"] / SHARES["fit"]
    for metric in METRICS:
        effect = over_refits(table[metric].to_numpy(float), test_over_training=ratio, level=level)
        spread = table[metric].std(ddof=1)
        print(f"  {metric:<18} {effect.estimate:8.4f} [{effect.low:.4f}, {effect.high:.4f}]  deviation {spread:.4f}")


if __name__ == "__main__":
    entry(main, "experiments.refits")
