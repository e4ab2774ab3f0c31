"""Log sweeps and measurements in MLflow, and keep the tables of what was measured live.

A sweep has a parent run per strategy and a child run per threshold. Figures and papers read tables, never MLflow. Runs
are named by their configuration's hash, so that logging the same sweep again adds what is missing and repeats nothing.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pandas as pd
import pyarrow as pa
from omegaconf import DictConfig, OmegaConf

from experiments.setup.build import build
from experiments.setup.committed import written_to
from experiments.setup.tracked_run import (
    Point,
    allowed_name,
    dataset_inputs,
    note,
    plain_metrics,
    series,
    true_names,
    values,
)
from experiments.setup.tracking_store import held_store
from slm_orchestration import tables
from slm_orchestration.artifacts import write_text
from slm_orchestration.figures.one_strategy import one_strategy

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

SUMMARY = "summary.json"
# MLflow opens the table of runs, rather than the traces of an application.
_PAGE = {"mlflow.experimentKind": "custom_model_development"}


@dataclass(frozen=True)
class Sweep:
    """What one run of experiments.run logs: the tables of `folder`, which may hold several strategies.

    `inputs` are the files read, with their sha256; `tags` must hold `configuration`, the hash that names the runs.
    """

    folder: Path
    params: Mapping[str, str]
    inputs: Mapping[str, str]
    tags: Mapping[str, str]
    resolved: str


def log_sweep(cfg: DictConfig, folder: Path, inputs: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Log each strategy of a run folder to where `cfg.tracking` says. Raises OSError where that cannot be reached."""
    places = {"suite": cfg.suite.name, "pool": cfg.pool.name, "inference": cfg.inference.name}
    resolved = without_password(OmegaConf.to_yaml(cfg, resolve=True), str(cfg.tracking.get("uri", "")))
    about = {**places, **_git_commit(), **_source(), **tags}
    build(cfg.tracking)(Sweep(folder, _params(cfg), inputs, about, resolved))


def nowhere(sweep: Sweep) -> None:
    """Log nothing."""


def to_mlflow(sweep: Sweep, *, uri: str, experiment: str) -> None:
    """Log to the MLflow store or server at `uri`."""
    with _experiment(uri, experiment) as (client, experiment_id):
        curves = tables.read(sweep.folder / "curves.parquet", tables.CURVES)
        for strategy, curve in curves.groupby("strategy", sort=False):
            _log_strategy(client, experiment_id, str(strategy), curve, sweep)


def log_measurement(cfg: DictConfig, name: str, table: pd.DataFrame, files: Sequence[Path]) -> None:
    """Log a measurement as one MLflow run with every number of the table, unless tracking is off.

    Metrics are by_row/<column>, a step per row of the table. Raises OSError where the store cannot be reached.
    """
    if "uri" not in cfg.tracking:
        return
    with _experiment(cfg.tracking.uri, name) as (client, experiment_id):
        run = client.create_run(experiment_id, run_name=name).info.run_id
        measures = [column for column in table.columns if table[column].dtype.kind in "fi"]
        points = [
            (f"by_row/{allowed_name(measure)}", value, step)
            for measure in measures
            for step, value in enumerate(table[measure])
            if pd.notna(value)
        ]
        _log_points(client, run, points, {})
        client.log_text(run, table.to_csv(index=False), f"{name}.csv")
        resolved = without_password(OmegaConf.to_yaml(cfg, resolve=True), cfg.tracking.uri)
        client.log_text(run, resolved, "resolved_configuration.yaml")
        for path in files:
            client.log_artifact(run, str(path))
        client.set_terminated(run)


def update_table(
    cfg: DictConfig, rows: pd.DataFrame, schema: pa.Schema, name: str, *, key_columns: int = 2
) -> pd.DataFrame:
    """Replace the rows with the same first `key_columns` key columns in a CSV of measurements; return the whole table.

    The CSV is in data/live, or with record=true beside the recorded outcomes; a parquet copy is in data/results.
    """
    path = written_to(cfg, Path(cfg.inference.folder) / f"{name}.csv")
    keys = schema.metadata[b"key"].decode().split(",")
    columns, fresh = keys[:key_columns], tables.conform(rows, schema)
    for name in (name for name in keys if pd.api.types.is_float_dtype(fresh[name])):
        # As the CSV has them, so that a level of many digits is found there again.
        fresh[name] = [float(f"{value:.6g}") for value in fresh[name]]
    if path.exists():
        old = tables.conform(pd.read_csv(path), schema)
        measured = set(map(tuple, fresh[columns].to_numpy()))
        kept = [tuple(key) not in measured for key in old[columns].to_numpy()]
        fresh = pd.concat([part for part in (old[kept], fresh) if len(part)], ignore_index=True)
    write_text(path, fresh.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    tables.write(fresh, schema, Path("data/results") / f"{name}.parquet", metadata={"seed": str(cfg.seed)})
    return fresh


def without_password(text: str, uri: str) -> str:
    """Return a text without the password that an address holds, as it stands there and decoded."""
    password = urlsplit(uri).password or ""
    for secret in {password, unquote(password)} - {""}:
        text = text.replace(secret, "***")
    return text


@contextmanager
def _experiment(uri: str, name: str) -> Iterator[tuple[MlflowClient, str]]:
    """Yield a client of the store at `uri` and the id of the experiment, with a local store held by this process.

    Raises OSError where the store fails.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    from mlflow import MlflowClient  # takes seconds to import, and tracking=off does not need it
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        with held_store(uri):
            client = MlflowClient(uri)
            found = client.get_experiment_by_name(name)
            yield client, found.experiment_id if found else client.create_experiment(name, tags=_PAGE)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = textwrap.shorten(str(error), 160, placeholder=" …")
        said = f"MLflow at {uri}: {reason}; set MLFLOW_TRACKING_URI, or tracking=off to do without"
        raise OSError(without_password(said, uri)) from None


def _log_strategy(client: MlflowClient, experiment_id: str, strategy: str, curve: pd.DataFrame, sweep: Sweep) -> None:
    name = f"{allowed_name(strategy)}-{sweep.tags['configuration']}"
    tags = {**sweep.tags, **true_names(sorted(curve["domain"].unique())), "strategy": strategy}
    found = client.search_runs([experiment_id], f"attributes.run_name = '{name}'", max_results=1)
    if found and found[0].info.status == "FINISHED":
        return
    parent = found[0].info.run_id if found else client.create_run(experiment_id, tags=tags, run_name=name).info.run_id
    points = tables.read(sweep.folder / "operating_points.parquet", tables.OPERATING_POINTS).set_index("strategy")
    threshold, chosen_by = float(points["threshold"][strategy]), str(points["chosen_by"][strategy])
    _log_thresholds(client, experiment_id, parent, curve, threshold, tags)
    summary = json.loads((sweep.folder / SUMMARY).read_text(encoding="utf-8"))
    found_metrics, vertices = summary["strategies"][strategy], pd.DataFrame(summary["mixture"])
    of_curve = tables.read(sweep.folder / "curve_metrics.parquet", tables.ESTIMATES)
    plain = plain_metrics(strategy, curve, threshold, found_metrics, of_curve)
    _log_points(client, parent, [*plain, *series(curve)], {**sweep.params, "strategy": strategy})
    words = note(strategy, found_metrics, threshold, chosen_by, tags)
    client.set_tag(parent, "mlflow.note.content", words)
    client.log_inputs(parent, dataset_inputs(sweep.inputs, sweep.tags["suite"]))
    _log_artifacts(client, parent, sweep, one_strategy(curve, threshold, vertices))
    client.set_terminated(parent)


def _log_thresholds(
    client: MlflowClient, experiment_id: str, parent: str, curve: pd.DataFrame, chosen: float, tags: Mapping[str, str]
) -> None:
    """Log a child run per threshold; the one at the operating point says so in its name and a tag."""
    strategy, logged = tags["strategy"], _finished_children(client, experiment_id, parent)
    for threshold, rows in curve.groupby("threshold", sort=False, dropna=False):
        label = "none" if pd.isna(threshold) else f"{threshold:g}"
        if label in logged:
            continue
        child_tags = {**tags, "mlflow.parentRunId": parent, "threshold": label}
        at_point = pd.isna(threshold) or threshold == chosen
        child_tags |= {"operating_point": "yes"} if at_point else {}
        name = f"{strategy} at {label}" + (" (operating point)" if at_point else "")
        child = client.create_run(experiment_id, tags=child_tags, run_name=name).info.run_id
        _log_points(client, child, values(rows), {"strategy": strategy, "threshold": label})
        client.set_terminated(child)


def _log_artifacts(client: MlflowClient, run: str, sweep: Sweep, figure: Figure) -> None:
    """Log the figure as PNG, the small tables as CSV, which MLflow shows, and every file of the run folder."""
    client.log_figure(run, figure, "cost_quality.png")
    for path in sorted(sweep.folder.glob("*")):
        if path.suffix == ".parquet" and path.stem != "decisions":
            client.log_text(run, pd.read_parquet(path).to_csv(index=False), f"{path.stem}.csv")
        client.log_artifact(run, str(path), "files")
    client.log_text(run, sweep.resolved, "resolved_configuration.yaml")


def _finished_children(client: MlflowClient, experiment_id: str, parent: str) -> set[str]:
    """Return the thresholds that are logged; delete children that a stopped process left half-logged."""
    children = client.search_runs([experiment_id], f"tags.mlflow.parentRunId = '{parent}'", max_results=10_000)
    for child in children:
        if child.info.status != "FINISHED":
            client.delete_run(child.info.run_id)
    return {child.data.tags["threshold"] for child in children if child.info.status == "FINISHED"}


def _log_points(client: MlflowClient, run: str, points: Sequence[Point], params: Mapping[str, str]) -> None:
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


def _source() -> dict[str, str]:
    """Return the command that was run, which MLflow shows as the source."""
    words = " ".join(sys.argv[1:])
    return {"mlflow.source.name": f"python -m experiments.run {words}".strip(), "mlflow.source.type": "LOCAL"}


def _git_commit() -> dict[str, str]:
    """Return the checked-out commit, with -dirty where files differ from it; empty outside a git clone."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    except FileNotFoundError:
        return {}
    return {"mlflow.source.git.commit": done.stdout.strip()} if done.returncode == 0 else {}
