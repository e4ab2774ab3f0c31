"""What claims are tested against beside estimates: counts of answered tasks, and the load test where one was made."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments import imported
from slm_orchestration import tables
from slm_orchestration.inference.store import read_outcomes
from slm_orchestration.report import measured as rows_of

LOAD = "load.parquet"


def measured(cfg: DictConfig) -> pd.DataFrame:
    """Return counts of the pool's outcomes and, where a LOAD table lies, its throughput and latencies, as ESTIMATES."""
    frames = [_counted(cfg)]
    results = Path(cfg.paths.results)
    found = [folder / LOAD for folder in (results, results.parent) if (folder / LOAD).exists()]
    if found:
        frames.append(rows_of.from_load(tables.read(found[0], tables.LOAD)))
    return tables.conform(pd.concat(frames, ignore_index=True), tables.ESTIMATES)


def _counted(cfg: DictConfig) -> pd.DataFrame:
    if imported.is_asked(cfg):
        matrix = imported.load(cfg)
        # Imported outcomes are cut to the tasks that every model answered.
        answers = matrix.tasks[["task_id", "domain"]].merge(pd.DataFrame({"model": matrix.models}), how="cross")
        return rows_of.counted(answers.assign(quality=0.0), list(matrix.models))
    models = [str(model["name"]) for model in cfg.pool.models]
    return rows_of.counted(read_outcomes(Path(cfg.paths.outcomes), models), models)
