"""Evaluate a strategy on all tasks: fitted on some groups, reported on others, until each task was reported once.

    python -m experiments.cross_fit routing=adaptive
    python -m experiments.cross_fit -m 'routing=adaptive,forest,kinds,boosting,logistic'     ends with a table

One frozen split hides how much a result depends on it. Here groups are dealt into `folds` folds; for each,
the strategy is fitted and its threshold chosen on other tasks (30 and 20 % of all), and reported on the fold. That is
repeated `repeats` times with other folds. Intervals are corrected for overlapping fits (Nadeau and Bengio).
Confidences stay as calibrated on the recorded fit tasks. Writes cross_fit.csv beside the strategy's run.
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
from slm_orchestration.artifacts import write_text
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.sensitivity import over_refits
from slm_orchestration.studies.refits import METRICS, SHARES, fold_splits, refit

_COLUMNS = ["strategy", "repeat", "fold", *METRICS]


def main(cfg: DictConfig) -> None:
    """Write what each fold gave, and print its mean and interval."""
    if cfg.folds < 2 or cfg.repeats < 1:
        raise ValueError(f"folds={cfg.folds} repeats={cfg.repeats}: allowed are at least 2 folds and 1 repeat")
    configured = build(cfg.routing.strategy)
    outcomes = inputs.with_side_tables(cfg, configured, inputs.load_outcomes(cfg))
    rule, rows = build(cfg.operating_point), []
    for repeat in range(cfg.repeats):
        splits = fold_splits(outcomes, cfg.folds, np.random.default_rng([cfg.seed, repeat]))
        for fold, split in enumerate(splits):
            found = refit(split, configured, rule, list(cfg.thresholds), partial(inputs.overhead_of, cfg))
            rows += [row | {"repeat": repeat, "fold": fold} for row in found]
    frame = pd.DataFrame(rows)[_COLUMNS]
    path = Path(cfg.paths.results) / cfg.routing.name / "cross_fit.csv"
    write_text(path, frame.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    print(table(frame, cfg).to_string(index=False))
    print(f"table: {path}")


def table(frame: pd.DataFrame, cfg: DictConfig) -> pd.DataFrame:
    """Return one row of text per strategy, the largest mean gain first: each metric with its interval."""
    ratio, rows = 1 / cfg.folds / SHARES["fit"], []
    for strategy, values in frame.groupby("strategy"):
        row = {"strategy": strategy}
        for metric in METRICS:
            try:
                effect = over_refits(
                    values[metric].to_numpy(float), test_over_training=ratio, level=cfg.statistics.level
                )
                row[metric] = f"{effect.estimate:.3f} [{effect.low:.3f}, {effect.high:.3f}]"
            except UndefinedStatistic:
                row[metric] = ""
        rows.append((values["mean_gain"].mean(), row))
    return pd.DataFrame([row for _, row in sorted(rows, key=lambda item: -np.nan_to_num(item[0], nan=-np.inf))])


def show_table(cfg: DictConfig) -> None:
    """Print the table of every strategy that was evaluated this way."""
    paths = sorted(Path(cfg.paths.results).glob("*/cross_fit.csv"))
    print(f"\n{cfg.repeats} x {cfg.folds} folds of suite {cfg.suite.name}")
    print(table(pd.concat([pd.read_csv(path) for path in paths]), cfg).to_string(index=False))


if __name__ == "__main__":
    entry(main, "experiments.cross_fit", config="cross_fit", after_sweep=show_table)
