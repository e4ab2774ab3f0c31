"""Put side tables, hidden states and sampled answers, beside the outcomes for the routers that read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from slm_orchestration.models.prices import read_prices
from slm_orchestration.outcomes.latency import price, read_profile
from slm_orchestration.outcomes.side_tables import read_side_table
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.routing.access import PAID, side_tables
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix, Recorded, recorded_samples
from slm_orchestration.routing.strategy import RoutedStrategy, Strategy


def with_side_tables(cfg: DictConfig, strategy: Strategy, outcomes: OutcomeMatrix) -> OutcomeMatrix:
    """Return the outcomes with the side tables that the strategy's router reads. Raises NotRecorded."""
    if not isinstance(strategy, RoutedStrategy):
        return outcomes
    side = {}
    for read in side_tables(strategy.router, outcomes.models):
        _, name, *count = read.split(":")
        side[read] = _samples(cfg, outcomes, name, int(count[0])) if count else _states(cfg, outcomes, name)
    return replace(outcomes, side=side)


def _states(cfg: DictConfig, outcomes: OutcomeMatrix, model: str) -> Recorded:
    table = _recorded(cfg, "states", model).set_index("task_id")
    if missing := [task for task in outcomes.tasks["task_id"] if task not in table.index]:
        raise NotRecorded(
            f"the states of {model} lack {len(missing)} tasks, first {missing[0]!r}; "
            f"run {_command(cfg, 'states', model)}"
        )
    # A state is there once the prompt is read: what a call of one token takes.
    calls = read_outcomes(Path(cfg.paths.outcomes), [model]).assign(completion_tokens=1)
    priced = price(calls, read_profile(Path(cfg.paths.profile)), read_prices(Path(cfg.pool.prices)))
    taken = priced.set_index("task_id").loc[outcomes.tasks["task_id"], list(PAID)].to_numpy(float)
    states = np.stack(table.loc[outcomes.tasks["task_id"], "state"].to_list()).astype(np.float32)
    return Recorded(states, *taken.T)


def _samples(cfg: DictConfig, outcomes: OutcomeMatrix, model: str, count: int) -> Recorded:
    try:
        return recorded_samples(_recorded(cfg, "samples", model), outcomes.tasks["task_id"], model, count)
    except NotRecorded as error:
        raise NotRecorded(f"{error}; ask for fewer, or run {_command(cfg, 'samples', model)}") from error


def _recorded(cfg: DictConfig, kind: str, model: str) -> pd.DataFrame:
    folder = Path(cfg.paths.outcomes)
    if not (folder / kind / f"{model}.parquet").exists():
        raise NotRecorded(f"the {kind} of {model} are not recorded on this suite; run {_command(cfg, kind, model)}")
    return read_side_table(folder, kind, model)


def _command(cfg: DictConfig, kind: str, model: str) -> str:
    return f"python -m experiments.collect suite={cfg.suite.name} model={model} inference.{kind}=true"
