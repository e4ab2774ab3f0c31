"""Mirror sweeps in MLflow: a parent run per strategy, a child run per threshold.

Figures and papers read tables, never MLflow. Runs are named by their configuration's hash, so that logging the same
sweep again finds what is there, adds what is missing and repeats nothing.
"""

from __future__ import annotations

import logging
import os
import subprocess
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS = ["small_share", "quality", "retention", "cost_usd", "latency_s", "tasks"]


@dataclass(frozen=True)
class Sweep:
    """What one run of experiments.run has to show; `curves` may hold several strategies.

    `tables` are files kept with each parent; `tags` must hold `configuration`, the hash that names the runs.
    """

    curves: pd.DataFrame
    params: Mapping[str, str]
    tables: Mapping[str, Path]
    tags: Mapping[str, str]
    resolved: str


def log_sweep(cfg: DictConfig, curves: pd.DataFrame, tables: Mapping[str, Path], tags: Mapping[str, str]) -> None:
    """Log each strategy of `curves` to where `cfg.tracking` says. Raises OSError where that cannot be reached."""
    places = {"suite": cfg.suite.name, "pool": cfg.pool.name, "inference": cfg.inference.name}
    resolved = OmegaConf.to_yaml(cfg, resolve=True)
    instantiate(cfg.tracking)(Sweep(curves, _params(cfg), tables, {**places, **_git_commit(), **tags}, resolved))


def nowhere(sweep: Sweep) -> None:
    """Log nothing."""


def to_mlflow(sweep: Sweep, *, uri: str, experiment: str) -> None:
    """Log to the MLflow store or server at `uri`."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    from mlflow import MlflowClient  # takes seconds to import, and runs with tracking=off do without
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        client = MlflowClient(uri)
        found = client.get_experiment_by_name(experiment)
        experiment_id = found.experiment_id if found else client.create_experiment(experiment)
        for strategy, curve in sweep.curves.groupby("strategy", sort=False):
            _log_strategy(client, experiment_id, str(strategy), curve, sweep)
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
    _log_values(client, parent, curve[curve["domain"] == "overall"], {**sweep.params, "strategy": strategy})
    client.log_text(parent, sweep.resolved, "resolved_configuration.yaml")
    for path in sweep.tables.values():
        client.log_artifact(parent, str(path))
    client.set_terminated(parent)


def _finished_children(client: MlflowClient, experiment_id: str, parent: str) -> set[str]:
    """Return the thresholds that stand; children that a stopped process left half-logged are deleted."""
    children = client.search_runs([experiment_id], f"tags.mlflow.parentRunId = '{parent}'", max_results=10_000)
    for child in children:
        if child.info.status != "FINISHED":
            client.delete_run(child.info.run_id)
    return {child.data.tags["threshold"] for child in children if child.info.status == "FINISHED"}


def _log_values(client: MlflowClient, run: str, rows: pd.DataFrame, params: Mapping[str, str]) -> None:
    """Log rows of CURVES: overall metrics by their name, a domain's as domain/metric; a step is a thousandth."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    metrics = []
    for row in rows.to_dict("records"):
        prefix = "" if row["domain"] == "overall" else f"{row['domain']}/"
        step = 0 if pd.isna(row["threshold"]) else round(1000 * row["threshold"])
        metrics += [Metric(prefix + name, float(row[name]), now, step) for name in METRICS if pd.notna(row[name])]
    pairs = [Param(key, value) for key, value in params.items()]
    for start in range(0, max(len(metrics), 1), 1000):  # the most that one call takes
        client.log_batch(run, metrics=metrics[start : start + 1000], params=pairs if start == 0 else [])


def _params(cfg: DictConfig) -> dict[str, str]:
    """Return what one compares between runs; the whole configuration is kept as an artifact."""
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
    """Return the commit that is checked out, marked when files differ from it; nothing outside a git clone."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    except FileNotFoundError:
        return {}
    return {"mlflow.source.git.commit": done.stdout.strip()} if done.returncode == 0 else {}
