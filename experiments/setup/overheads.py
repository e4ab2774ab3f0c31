"""What the routers' own predictions cost: the committed rows, and those that are measured on this machine."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.setup.committed import written_to
from slm_orchestration import artifacts
from slm_orchestration.models.prices import read_prices, usd_per_second
from slm_orchestration.routing import replay
from slm_orchestration.routing.classifier import Classifier, measure_classifier
from slm_orchestration.routing.outcome_matrix import REQUEST, OutcomeMatrix
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.routers.bandit import FittedBandit
from slm_orchestration.routing.strategy import FittedRoutedStrategy, FittedStrategy
from slm_orchestration.statistics.strategy_matrix import CLASSIFIER

# The fitted strategies that predict with a router, whose seconds are measured and paid.
WITH_ROUTER = (FittedRoutedStrategy, FittedBandit)


def overhead_of(cfg: DictConfig, strategy: FittedStrategy, calibration: OutcomeMatrix) -> Overhead:
    """Return the overhead of one prediction, measured now if its row is missing; a reference has none."""
    if not isinstance(strategy, WITH_ROUTER):
        return Overhead()
    if strategy.name not in read_overheads(cfg).index:
        print(f"measuring the overhead of {strategy.name} into {written_to(cfg, Path(cfg.paths.overhead))}")
        measure_overhead(cfg, strategy, calibration)
    return _read_overhead(cfg, strategy.name)


def classifier_overhead(cfg: DictConfig, classifier: Classifier, outcomes: OutcomeMatrix) -> Overhead:
    """Return the overhead of one answer of the classifier, measured now if its row is missing."""
    if CLASSIFIER not in read_overheads(cfg).index:
        fitted, path = classifier.fit(outcomes.where("fit"), outcomes.where("calibration")), Path(cfg.paths.overhead)
        _write_overhead(written_to(cfg, path), CLASSIFIER, measure_classifier(fitted, outcomes.where("calibration")))
    return _read_overhead(cfg, CLASSIFIER)


def read_overheads(cfg: DictConfig) -> pd.DataFrame:
    """Return the overhead table: the committed rows, and those of routers that were measured on this machine."""
    committed = Path(cfg.paths.overhead)
    profile, own = replay.read_overhead(committed), written_to(cfg, committed)
    if own == committed:
        return profile
    added = replay.read_overhead(own)
    added = added[~added.index.isin(profile.index)]
    return profile if added.empty else added if profile.empty else pd.concat([profile, added])


def measure_overhead(cfg: DictConfig, strategy: FittedRoutedStrategy | FittedBandit, outcomes: OutcomeMatrix) -> dict:
    """Measure the seconds that predictions take, replace the strategy's row of the overhead table, and return it."""
    row = replay.measure_overhead(strategy.router, outcomes.reading(getattr(strategy, "view", REQUEST)))
    _write_overhead(written_to(cfg, Path(cfg.paths.overhead)), strategy.name, row)
    return row


def _write_overhead(path: Path, strategy: str, row: dict[str, float | int]) -> None:
    where = {"device": "cpu", "threads": os.cpu_count(), "measured_on": datetime.date.today().isoformat()}
    fresh = pd.DataFrame([row | where], index=pd.Index([strategy], name="strategy"))
    with artifacts.locked(path.parent):  # another process may add the row of another router at this moment
        profile = replay.read_overhead(path)
        others = profile[profile.index != strategy]
        replay.write_overhead(path, fresh if others.empty else pd.concat([others, fresh]))


def _read_overhead(cfg: DictConfig, strategy: str) -> Overhead:
    profile = read_overheads(cfg)
    row = profile.loc[strategy].to_dict()
    usd_per_s = usd_per_second(read_prices(Path(cfg.pool.prices)), str(row["device"]), int(row["threads"]))
    return replay.overhead(profile, strategy, usd_per_s=usd_per_s)
