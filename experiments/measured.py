"""What claims are tested against beside estimates: counts of answered tasks, and the gateway where it was measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments import imported
from slm_orchestration import tables
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.report import facts as rows_of

# What was measured live lies beside the recorded outcomes, as experiments.load and experiments.faults leave it.
LIVE = {
    "load.csv": (tables.LOAD, rows_of.from_load),
    "faults.csv": (tables.FAULTS, rows_of.from_faults),
}


def measured(cfg: DictConfig) -> pd.DataFrame:
    """Return counts of the pool's outcomes and what was measured of the gateway, where it was, as ESTIMATES."""
    frames = [_counted(cfg)]
    for name, (schema, rows) in LIVE.items():
        path = Path(cfg.inference.folder) / name
        if path.exists():
            frames.append(rows(tables.conform(pd.read_csv(path), schema)))
    return tables.conform(pd.concat(frames, ignore_index=True), tables.ESTIMATES)


def _counted(cfg: DictConfig) -> pd.DataFrame:
    if imported.is_asked(cfg):
        matrix = imported.load(cfg)
        # Imported outcomes are cut to the tasks that every model answered.
        answers = matrix.tasks[["task_id", "domain"]].merge(pd.DataFrame({"model": matrix.models}), how="cross")
        return rows_of.counted(answers.assign(quality=0.0), list(matrix.models))
    models = [str(model["name"]) for model in cfg.pool.models]
    return rows_of.counted(read_outcomes(Path(cfg.paths.outcomes), models), models)
