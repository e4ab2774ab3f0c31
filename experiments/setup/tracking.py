"""Log sweeps and measurements in MLflow, and keep the committed tables of what was measured live.

A sweep has a parent run per strategy and a child run per threshold. Figures and papers read tables, never MLflow. Runs
are named by their configuration's hash, so that logging the same sweep again adds what is missing and repeats nothing.
"""

from __future__ import annotations

import logging
import os
import subprocess
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
from omegaconf import DictConfig, OmegaConf

from experiments.setup.build import build
from slm_orchestration import tables
from slm_orchestration.artifacts import write_text
from slm_orchestration.statistics.strategy_matrix import OVERALL

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS = ["small_share", "quality", "retention", "cost_usd", "latency_s", "tasks"]


@dataclass(frozen=True)
class Sweep:
    """What one run of experiments.run logs; `curves` may hold several strategies.

    `files` are kept with each parent run; `tags` must hold `configuration`, the hash that names the runs.
    """

    curves: pd.DataFrame
    params: Mapping[str, str]
    files: Mapping[str, Path]
    tags: Mapping[str, str]
    resolved: str


def log_sweep(cfg: DictConfig, curves: pd.DataFrame, files: Mapping[str, Path], tags: Mapping[str, str]) -> None:
    """Log each strategy of `curves` to where `cfg.tracking` says. Raises OSError where that cannot be reached."""
    places = {"suite": cfg.suite.name, "pool": cfg.pool.name, "inference": cfg.inference.name}
    resolved = OmegaConf.to_yaml(cfg, resolve=True)
    build(cfg.tracking)(Sweep(curves, _params(cfg), files, {**places, **_git_commit(), **tags}, resolved))


def nowhere(sweep: Sweep) -> None:
    """Log nothing."""


def to_mlflow(sweep: Sweep, *, uri: str, experiment: str) -> None:
    """Log to the MLflow store or server at `uri`."""
    with _experiment(uri, experiment) as (client, experiment_id):
        for strategy, curve in sweep.curves.groupby("strategy", sort=False):
            _log_strategy(client, experiment_id, str(strategy), curve, sweep)


def log_measurement(cfg: DictConfig, name: str, table: pd.DataFrame, files: Sequence[Path]) -> None:
    """Log a measurement as one MLflow run with every number of the table, unless tracking is off.

    A row of the table is a step of its metrics. Raises OSError where the store cannot be reached.
    """
    if "uri" not in cfg.tracking:
        return
    with _experiment(cfg.tracking.uri, name) as (client, experiment_id):
        run = client.create_run(experiment_id, run_name=name).info.run_id
        measures = [column for column in table.columns if table[column].dtype.kind in "fi"]
        points = [
            (measure, value, step)
            for measure in measures
            for step, value in enumerate(table[measure])
            if pd.notna(value)
        ]
        _log_points(client, run, points, {})
        client.log_text(run, table.to_csv(index=False), f"{name}.csv")
        client.log_text(run, OmegaConf.to_yaml(cfg, resolve=True), "resolved_configuration.yaml")
        for path in files:
            client.log_artifact(run, str(path))
        client.set_terminated(run)


def update_table(
    cfg: DictConfig, rows: pd.DataFrame, schema: pa.Schema, name: str, *, key_columns: int = 2
) -> pd.DataFrame:
    """Replace the rows with the same first `key_columns` key columns in a committed CSV; return the whole table.

    The CSV is beside the recorded outcomes; a parquet copy is in data/results.
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


@contextmanager
def _experiment(uri: str, name: str) -> Iterator[tuple[MlflowClient, str]]:
    """Yield a client of the store at `uri` and the id of the experiment. Raises OSError where the store fails."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    from mlflow import MlflowClient  # takes seconds to import, and tracking=off does not need it
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        client = MlflowClient(uri)
        found = client.get_experiment_by_name(name)
        yield client, found.experiment_id if found else client.create_experiment(name)
    except (MlflowException, SQLAlchemyError) as error:
        reason = textwrap.shorten(str(error), 160, placeholder=" …")
        raise OSError(f"MLflow at {uri}: {reason}; set MLFLOW_TRACKING_URI, or tracking=off to do without") from error


def _log_strategy(client: MlflowClient, experiment_id: str, strategy: str, curve: pd.DataFrame, sweep: Sweep) -> None:
    name = f"{strategy}-{sweep.tags['configuration']}"
    tags = {**sweep.tags, "strategy": strategy}
    found = client.search_runs([experiment_id], f"attributes.run_name = '{name}'", max_results=1)
    if found and found[0].info.status == "FINISHED":
        return
    parent = found[0].info.run_id if found else client.create_run(experiment_id, tags=tags, run_name=name).info.run_id
    logged = _finished_children(client, experiment_id, parent)
    for threshold, point in curve.groupby("threshold", sort=False, dropna=False):
        label = "none" if pd.isna(threshold) else f"{threshold:g}"
        if label in logged:
            continue
        child_tags = {**tags, "mlflow.parentRunId": parent, "threshold": label}
        child = client.create_run(experiment_id, tags=child_tags, run_name=f"{strategy} at {label}").info.run_id
        _log_values(client, child, point, {"strategy": strategy, "threshold": label})
        client.set_terminated(child)
    _log_values(client, parent, curve[curve["domain"] == OVERALL], {**sweep.params, "strategy": strategy})
    client.log_text(parent, sweep.resolved, "resolved_configuration.yaml")
    for path in sweep.files.values():
        client.log_artifact(parent, str(path))
    client.set_terminated(parent)


def _finished_children(client: MlflowClient, experiment_id: str, parent: str) -> set[str]:
    """Return the thresholds that are logged; delete children that a stopped process left half-logged."""
    children = client.search_runs([experiment_id], f"tags.mlflow.parentRunId = '{parent}'", max_results=10_000)
    for child in children:
        if child.info.status != "FINISHED":
            client.delete_run(child.info.run_id)
    return {child.data.tags["threshold"] for child in children if child.info.status == "FINISHED"}


def _log_values(client: MlflowClient, run: str, rows: pd.DataFrame, params: Mapping[str, str]) -> None:
    """Log rows of CURVES: overall metrics by their name, a domain's as domain/metric; the step is 1000 × threshold."""
    points = []
    for row in rows.to_dict("records"):
        prefix = "" if row["domain"] == OVERALL else f"{row['domain']}/"
        step = 0 if pd.isna(row["threshold"]) else round(1000 * row["threshold"])
        points += [(prefix + name, row[name], step) for name in METRICS if pd.notna(row[name])]
    _log_points(client, run, points, params)


def _log_points(
    client: MlflowClient, run: str, points: Sequence[tuple[str, float, int]], params: Mapping[str, str]
) -> None:
    """Log (metric, value, step) triples and parameters."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    metrics = [Metric(name, float(value), now, step) for name, value, step in points]
    pairs = [Param(key, value) for key, value in params.items()]
    for start in range(0, max(len(metrics), 1), 1000):  # MLflow takes at most 1,000 metrics per call
        client.log_batch(run, metrics=metrics[start : start + 1000], params=pairs if start == 0 else [])


def _params(cfg: DictConfig) -> dict[str, str]:
    """Return the parameters by which runs are compared; the whole configuration is logged as an artifact."""
    asked = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(asked, dict)
    compared = {key: asked[key] for key in ("seed", "routing", "operating_point", "statistics")}
    compared |= {key: {"name": asked[key]["name"]} for key in ("suite", "pool", "inference")}
    return dict(_leaves(compared))


def _leaves(node: object, key: str = "") -> list[tuple[str, str]]:
    if not isinstance(node, dict):
        return [(key, str(node)[:500])]
    return [leaf for name, value in node.items() for leaf in _leaves(value, f"{key}.{name}" if key else str(name))]


def _git_commit() -> dict[str, str]:
    """Return the checked-out commit, with -dirty where files differ from it; empty outside a git clone."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    except FileNotFoundError:
        return {}
    return {"mlflow.source.git.commit": done.stdout.strip()} if done.returncode == 0 else {}
