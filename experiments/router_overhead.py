"""Measure the seconds of each router's own predictions, and write them into the table that replay reads.

    python -m experiments.router_overhead routing=adaptive
    python -m experiments.router_overhead -m 'routing=glob(*)'

Run it while nothing else runs. A router without a row is measured by its first run. The table is in data/live; with
record=true it is the committed one, whose rows come first.
"""

from __future__ import annotations

from omegaconf import DictConfig

from experiments.setup import inputs, overheads
from experiments.setup.build import build
from experiments.setup.config import entry


def main(cfg: DictConfig) -> None:
    """Measure the configured router again and replace its row."""
    configured = build(cfg.routing.strategy)
    outcomes = inputs.with_side_tables(cfg, configured, inputs.load_outcomes(cfg))
    strategy = configured.fit(outcomes.where("fit"), outcomes.where("calibration"))
    if not isinstance(strategy, overheads.WITH_ROUTER):
        print(f"{cfg.routing.name} has no router: nothing to measure")
        return
    row = overheads.measure_overhead(cfg, strategy, outcomes.where("calibration"))
    print(f"{strategy.name}: {row['single_p50_s']:.2e} s one at a time, {row['batched_s']:.2e} s in a batch")


if __name__ == "__main__":
    entry(main, "experiments.router_overhead")
