"""Simulate whether intervals cover and tests hold their level, with the very code that makes the results.

    python -m experiments.validate_statistics

Prints the share of 95 % intervals that hold the truth, and of 5 % tests that reject a true null. Takes some minutes.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.config import entry
from slm_orchestration import files
from slm_orchestration.statistics import simulation

GROUPS = (30, 200, 1000)
SIMULATIONS, RESAMPLES = 2000, 1000
FAMILY = 10


def main(cfg: DictConfig) -> None:
    """Print the simulated rates and write them beside the results."""
    path = Path(cfg.paths.results) / "statistics_validation.csv"
    tables = []
    for clustered in (False, True):
        whole = simulation.population(clustered=clustered, seed=cfg.seed)
        for groups in GROUPS:
            settings = {"simulations": SIMULATIONS, "seed": cfg.seed}
            covered = simulation.coverage(whole, groups, resamples=RESAMPLES, **settings)
            rejected = simulation.rejections(whole, groups, flips=RESAMPLES - 1, **settings)
            both = pd.concat([covered.assign(rate_of="coverage"), rejected.assign(rate_of="rejection")])
            tables.append(both.assign(tasks="grouped" if clustered else "independent"))
            print(f"{tables[-1]['tasks'].iloc[0]} tasks, {groups} groups: done")
    table = pd.concat(tables, ignore_index=True)
    errors = simulation.family_errors(strategies=FAMILY, tasks=200, simulations=SIMULATIONS, seed=cfg.seed)
    files.write_text(path, table.to_csv(index=False, lineterminator="\n"))
    wide = table.pivot_table(index=["rate_of", "statistic"], columns=["tasks", "groups"], values="rate")
    print(wide.to_string(float_format="{:.3f}".format))
    print(f"family error of Holm over {FAMILY} true nulls: {errors:.3f}")
    print(f"table: {path}")


if __name__ == "__main__":
    entry(main, "experiments.validate_statistics")
