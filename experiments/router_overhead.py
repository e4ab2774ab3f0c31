"""Measure the seconds of each router's own predictions, and write them into the table that replay reads.

    python -m experiments.router_overhead routing=adaptive
    python -m experiments.router_overhead -m 'routing=glob(*)'

Run it while nothing else runs. It writes data/live/router_overhead.csv, or with record=true the committed table. Replay
takes a router's row from the committed table if there is one, else from data/live; `experiments.run` measures a router
that has neither.
"""

from __future__ import annotations

from omegaconf import DictConfig

from experiments.setup import inputs, overheads
from experiments.setup.build import build
from experiments.setup.config import entry
from experiments.setup.side_tables import with_side_tables


def main(cfg: DictConfig) -> None:
    """Measure the configured router again and replace its row."""
    configured = build(cfg.routing.strategy)
    outcomes = with_side_tables(cfg, configured, inputs.load_outcomes(cfg))
    strategy = configured.fit(outcomes.where("fit"), outcomes.where("calibration"))
    if not isinstance(strategy, overheads.WITH_ROUTER):
        print(f"{cfg.routing.name} has no router: nothing to measure")
        return
    row = overheads.measure_overhead(cfg, strategy, outcomes.where("calibration"))
    print(f"{strategy.name}: {row['single_p50_s']:.2e} s one at a time, {row['batched_s']:.2e} s in a batch")


if __name__ == "__main__":
    entry(main, "experiments.router_overhead")
