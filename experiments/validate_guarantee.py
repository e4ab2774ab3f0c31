"""Simulate how often a guaranteed operating point misses its target, and what the guarantee costs.

    python -m experiments.validate_guarantee operating_point=retention_95
    python -m experiments.validate_guarantee operating_point=retention_95 operating_point.delta=0.1

Prints, for 500 repetitions of 500, 1,000 and 4,000 calibration tasks, the share whose chosen threshold truly keeps less
than the target, with the plug-in choice and the cheapest threshold that truly keeps it for comparison.
"""

from __future__ import annotations

import pandas as pd
from omegaconf import DictConfig

from experiments.setup.build import build
from experiments.setup.config import entry
from slm_orchestration.routing.operating_point import GuaranteedRetention
from slm_orchestration.studies.guarantee import simulate

REPETITIONS = 500


def main(cfg: DictConfig) -> None:
    """Print the table."""
    point = build(cfg.operating_point)
    if not isinstance(point, GuaranteedRetention):
        raise ValueError("only a guaranteed retention is simulated: add operating_point=retention_95")
    guarantee = {"target": point.target, "delta": point.delta}
    frames = [
        simulate(tasks=tasks, repetitions=REPETITIONS, seed=cfg.seed, **guarantee).assign(tasks=tasks)
        for tasks in (500, 1000, 4000)
    ]
    table = pd.concat(frames).set_index(["tasks", "rule"])
    print(f"retention of {point.target:g}, {REPETITIONS} repetitions; a guarantee may miss it in {point.delta:g}")
    print(table.to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    entry(main, "experiments.validate_guarantee")
