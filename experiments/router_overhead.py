"""Measure what each router's own predictions take, into the committed table that replay reads.

    python -m experiments.router_overhead routing=adaptive
    python -m experiments.router_overhead -m 'routing=glob(*)'

Run it while nothing else runs. A router without a row is measured by its first run.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments import inputs
from experiments.config import entry
from experiments.side_reads import with_side_tables
from slm_orchestration.models.prices import read_prices, usd_per_second
from slm_orchestration.routing import replay
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.routers.bandit import FittedBandit
from slm_orchestration.routing.strategy import FittedRoutedStrategy, FittedStrategy

ASK_A_ROUTER = (FittedRoutedStrategy, FittedBandit)


def main(cfg: DictConfig) -> None:
    """Measure the configured router anew, replacing its row."""
    configured = instantiate(cfg.routing.strategy, _convert_="all")
    outcomes = with_side_tables(cfg, configured, inputs.load_outcomes(cfg))
    strategy = configured.fit(outcomes.where("fit"), outcomes.where("calibration"))
    if not isinstance(strategy, ASK_A_ROUTER):
        print(f"{cfg.routing.name} asks no router: nothing to measure")
        return
    row = _measure(cfg, strategy, outcomes.where("calibration"))
    print(f"{strategy.name}: {row['single_p50_s']:.2e} s one at a time, {row['batched_s']:.2e} s in a batch")


def overhead_of(cfg: DictConfig, strategy: FittedStrategy, calibration: OutcomeMatrix) -> Overhead:
    """Return the overhead of one prediction; references ask no router and pay nothing."""
    if not isinstance(strategy, ASK_A_ROUTER):
        return Overhead()
    if strategy.name not in replay.read_overhead(Path(cfg.paths.overhead)).index:
        print(f"measuring the overhead of {strategy.name} into {cfg.paths.overhead}")
        _measure(cfg, strategy, calibration)
    profile = replay.read_overhead(Path(cfg.paths.overhead))
    row = profile.loc[strategy.name].to_dict()
    usd_per_s = usd_per_second(read_prices(Path(cfg.pool.prices)), str(row["device"]), int(row["threads"]))
    return replay.overhead(profile, strategy.name, usd_per_s=usd_per_s)


def _measure(cfg: DictConfig, strategy: FittedRoutedStrategy | FittedBandit, outcomes: OutcomeMatrix) -> dict:
    path = Path(cfg.paths.overhead)
    row = replay.measure_overhead(strategy.router, outcomes) | {
        "device": "cpu",
        "threads": os.cpu_count(),
        "measured_on": datetime.date.today().isoformat(),
    }
    profile = replay.read_overhead(path)
    others = profile[profile.index != strategy.name]
    fresh = pd.DataFrame([row], index=pd.Index([strategy.name], name="strategy"))
    replay.write_overhead(path, fresh if others.empty else pd.concat([others, fresh]))
    return row


if __name__ == "__main__":
    entry(main, "experiments.router_overhead")
