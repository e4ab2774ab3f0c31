"""The hidden states and sampled answers that a router reads beside the outcomes, as recorded for the suite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from experiments.setup.committed import is_committed
from experiments.setup.inputs import priced
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.side_tables import read_side_table
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.routing.access import PAID, side_table_keys
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix, SideTable, samples_table
from slm_orchestration.routing.strategy import RoutedStrategy, Strategy


def with_side_tables(cfg: DictConfig, strategy: Strategy, outcomes: OutcomeMatrix) -> OutcomeMatrix:
    """Return the outcomes with the hidden states and sampled answers that the router reads. Raises NotRecorded."""
    if not isinstance(strategy, RoutedStrategy):
        return outcomes
    side = {}
    for read in side_table_keys(strategy.router, outcomes.models):
        _, name, *count = read.split(":")
        side[read] = _samples(cfg, outcomes, name, int(count[0])) if count else _states(cfg, outcomes, name)
    return replace(outcomes, side=side)


def _states(cfg: DictConfig, outcomes: OutcomeMatrix, model: str) -> SideTable:
    table = _side_table(cfg, "states", model).set_index("task_id")
    if missing := [task for task in outcomes.tasks["task_id"] if task not in table.index]:
        raise NotRecorded(
            f"the states of {model} lack {len(missing)} tasks, first {missing[0]!r}; "
            f"run {_command(cfg, 'states', model)}"
        )
    # The hidden state exists after prefill, so it costs what a call with one completion token costs.
    calls = read_outcomes(Path(cfg.paths.outcomes), [model]).assign(completion_tokens=1)
    paid = priced(cfg, calls).set_index("task_id").loc[outcomes.tasks["task_id"], list(PAID)].to_numpy(float)
    states = np.stack(table.loc[outcomes.tasks["task_id"], "state"].to_list()).astype(np.float32)
    return SideTable(states, *paid.T)


def _samples(cfg: DictConfig, outcomes: OutcomeMatrix, model: str, count: int) -> SideTable:
    recorded = _side_table(cfg, "samples", model)
    sampled, free = set(recorded["task_id"]), outcomes.tasks.loc[outcomes.tasks["choices"].isna(), "task_id"]
    # Without this, a free task that a stopped recording did not reach would count as one without samples, at no cost.
    if missing := [task for task in free if task not in sampled]:
        raise NotRecorded(
            f"the samples of {model} lack {len(missing)} tasks, first {missing[0]!r}; "
            f"run {_command(cfg, 'samples', model)}"
        )
    try:
        return samples_table(recorded, outcomes.tasks["task_id"], model, count)
    except NotRecorded as error:
        raise NotRecorded(f"{error}; ask for fewer, or run {_command(cfg, 'samples', model)}") from error


def _side_table(cfg: DictConfig, kind: str, model: str) -> pd.DataFrame:
    folder = Path(cfg.paths.outcomes)
    if not (folder / kind / f"{model}.parquet").exists():
        found = {
            path.parent.parent.name: entry["rows"]
            for path in folder.parent.glob(f"*/{kind}/{model}.parquet")
            if "rows" in (entry := store.read_manifest(path.parent).get(model, {}))
        }
        elsewhere = max(found, key=found.__getitem__, default=None)
        judged = f"; suite={elsewhere} has them, so judge it there" if elsewhere else ""
        raise NotRecorded(
            f"the {kind} of {model} are not recorded on suite {cfg.suite.name}{judged}, or run "
            f"{_command(cfg, kind, model)}"
        )
    return read_side_table(folder, kind, model)


def _command(cfg: DictConfig, kind: str, model: str) -> str:
    where = "record=true" if is_committed(Path(cfg.paths.outcomes)) else f"inference={cfg.inference.name}"
    return f"python -m experiments.collect {where} suite={cfg.suite.name} model={model} inference.{kind}=true"
