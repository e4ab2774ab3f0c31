"""Keep what was measured live: tables that grow by what was measured anew, and an MLflow run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from omegaconf import DictConfig, OmegaConf

from slm_orchestration import tables
from slm_orchestration.artifacts import write_text


def keep(cfg: DictConfig, rows: pd.DataFrame, schema: pa.Schema, name: str, *, key_columns: int = 2) -> pd.DataFrame:
    """Replace the rows of the same first key columns in the committed CSV, write it and a parquet; return all.

    The CSV lies beside the recorded outcomes, the parquet in data/results.
    """
    path = Path(cfg.inference.folder) / f"{name}.csv"
    columns = schema.metadata[b"key"].decode().split(",")[:key_columns]
    fresh = tables.conform(rows, schema)
    if path.exists():
        old = tables.conform(pd.read_csv(path), schema)
        measured = set(map(tuple, fresh[columns].to_numpy()))
        kept = [tuple(key) not in measured for key in old[columns].to_numpy()]
        fresh = pd.concat([part for part in (old[kept], fresh) if len(part)], ignore_index=True)
    write_text(path, fresh.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    tables.write(fresh, schema, Path("data/results") / f"{name}.parquet", metadata={"seed": str(cfg.seed)})
    return fresh


def log(cfg: DictConfig, name: str, table: pd.DataFrame, artifacts: Sequence[Path]) -> None:
    """Log a measurement as one MLflow run, with every number of the table, unless tracking is off."""
    if "uri" not in cfg.tracking:
        return
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient  # takes seconds to import, and runs with tracking=off do without
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(cfg.tracking.uri)
        found = client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else client.create_experiment(name)
        run = client.create_run(experiment, run_name=name).info.run_id
        measures = [column for column in table.columns if table[column].dtype.kind in "fi"]
        metrics = [
            Metric(measure, float(value), 0, row)
            for measure in measures
            for row, value in enumerate(table[measure])
            if pd.notna(value)
        ]
        for start in range(0, len(metrics), 1000):  # the most that one call takes
            client.log_batch(run, metrics=metrics[start : start + 1000])
        client.log_text(run, table.to_csv(index=False), f"{name}.csv")
        client.log_text(run, OmegaConf.to_yaml(cfg, resolve=True), "resolved_configuration.yaml")
        for path in artifacts:
            client.log_artifact(run, str(path))
        client.set_terminated(run)
    except MlflowException as error:
        raise OSError(f"MLflow at {cfg.tracking.uri}: {str(error)[:160]}; or tracking=off to do without") from error
