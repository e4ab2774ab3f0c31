"""Simulate how often a guaranteed operating point misses its target, and what the guarantee costs.

    python -m experiments.validate_guarantee operating_point=retention_95
    python -m experiments.validate_guarantee operating_point=retention_95 operating_point.delta=0.1

Prints, for 500 repetitions of 500, 1,000 and 4,000 calibration tasks, the share whose chosen threshold truly keeps less
than the target, with the plug-in choice and the cheapest threshold that truly keeps it for comparison; and for groups
of 4 and 10 dependent tasks, with the same rule where it ignores that they are.
"""

from __future__ import annotations

import pandas as pd
from omegaconf import DictConfig

from experiments.setup.build import build
from experiments.setup.config import entry
from slm_orchestration.routing.operating_point import GuaranteedRetention
from slm_orchestration.studies.guarantee import Draws, simulate

REPETITIONS = 500


def main(cfg: DictConfig) -> None:
    """Print the table."""
    point = build(cfg.operating_point)
    if not isinstance(point, GuaranteedRetention):
        raise ValueError("only a guaranteed retention is simulated: add operating_point=retention_95")
    guarantee = {"target": point.target, "delta": point.delta}
    frames = [
        simulate(Draws(tasks, REPETITIONS, size), seed=cfg.seed, **guarantee).assign(
            **{"tasks": tasks, "per group": size}
        )
        for tasks, size in ((500, 1), (1000, 1), (4000, 1), (1000, 4), (4000, 4), (1000, 10), (4000, 10))
    ]
    table = pd.concat(frames).set_index(["tasks", "per group", "rule"])
    print(f"retention of {point.target:g}, {REPETITIONS} repetitions; a guarantee may miss it in {point.delta:g}")
    print(table.to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    entry(main, "experiments.validate_guarantee")
