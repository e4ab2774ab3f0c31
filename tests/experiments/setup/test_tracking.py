"""Runs in a real MLflow store: a parent per strategy, a child per threshold, and nothing twice."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from omegaconf import DictConfig, OmegaConf

from experiments.setup import tracking
from experiments.setup.config import load_config
from slm_orchestration import tables
from slm_orchestration.tables import CURVES

TAGS = {"configuration": "abc123"}
READ = {"data/tasks/quick.parquet": "ab" * 32, "data/outcomes/quick/small.parquet": "cd" * 32}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for all tests, since making one takes seconds; each test has its own experiment in it."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def cfg(store: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> DictConfig:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")
    monkeypatch.chdir(store)  # artifacts of a local store lie beside it
    return load_config("routing=heuristic", f"tracking.experiment={request.node.name}")


def curves(strategy: str, thresholds: list[float]) -> pd.DataFrame:
    """At threshold t, quality is 1 - t overall, and half of that in logic."""
    rows = [
        {
            "strategy": strategy,
            "threshold": threshold,
            "domain": domain,
            "small_share": 0.0,
            "quality": share * (1.0 if np.isnan(threshold) else 1 - threshold),
            "retention": None if domain == "logic" else 1.0,
            "cost_usd": 0.5,
            "latency_s": 2.0,
            "tasks": 4,
        }
        for threshold in thresholds
        for domain, share in [("overall", 1.0), ("logic", 0.5)]
    ]
    return tables.conform(pd.DataFrame(rows), CURVES)


def folder(cfg: DictConfig, table: pd.DataFrame, *, chosen: float = 0.25) -> Path:
    """Return a run folder with these curves, as experiments.run writes it; its operating threshold is `chosen`."""
    made = Path(cfg.tracking.uri.removeprefix("sqlite:///")).parent / f"{cfg.tracking.experiment}-tables"
    made.mkdir(exist_ok=True)
    names = table["strategy"].unique().tolist()
    points = [
        {
            "strategy": name,
            "threshold": chosen if table.query("strategy == @name")["threshold"].notna().any() else None,
            "chosen_by": "cheapest that keeps 0.95 on calibration tasks",
            "tasks": 4,
        }
        for name in names
    ]
    metrics = [
        {"strategy": name, "domain": "overall", "metric": metric, "estimate": value, "tasks": 4, "method": "exact"}
        for name in names
        for metric, value in (("apgr", 0.5), ("mean_gain", 0.125), ("aiq", 0.3))
    ]
    summary = {"quality": 0.75, "retention": 0.9, "cost_usd": 0.5, "cost_saving": 2.0, "gain_over_mixture": 0.25}
    about = {
        "strategies": dict.fromkeys(names, summary),
        "mixture": [{"name": "s", "cost_usd": 0.1, "quality": 0.2}, {"name": "l", "cost_usd": 1.0, "quality": 0.8}],
    }
    (made / "summary.json").write_text(json.dumps(about))
    tables.write(table, CURVES, made / "curves.parquet", metadata={})
    points_table = tables.conform(pd.DataFrame(points).astype({"threshold": float}), tables.OPERATING_POINTS)
    tables.write(points_table, tables.OPERATING_POINTS, made / "operating_points.parquet", metadata={})
    estimates = pd.DataFrame(metrics).assign(low=np.nan, high=np.nan, level=0.95)
    tables.write(
        tables.conform(estimates, tables.ESTIMATES), tables.ESTIMATES, made / "curve_metrics.parquet", metadata={}
    )
    return made


def runs(cfg: DictConfig) -> pd.DataFrame:
    client = MlflowClient(cfg.tracking.uri)
    experiment = client.get_experiment_by_name(cfg.tracking.experiment)
    assert experiment
    found = client.search_runs([experiment.experiment_id])
    rows = [
        {
            "name": run.info.run_name,
            "run": run.info.run_id,
            "parent": run.data.tags.get("mlflow.parentRunId"),
            "status": run.info.status,
            "threshold": run.data.params.get("threshold"),
            **{name: value for name, value in run.data.metrics.items() if name != "threshold"},
        }
        for run in found
    ]
    return pd.DataFrame(rows).set_index("name").sort_index()


def test_a_parent_per_strategy_holds_a_child_per_threshold(cfg: DictConfig) -> None:
    both = pd.concat([curves("heuristic", [0.0, 0.25, 1.0]), curves("always_large", [float("nan")])])
    tracking.log_sweep(cfg, folder(cfg, both), READ, TAGS)
    logged = runs(cfg)
    assert logged["status"].unique().tolist() == ["FINISHED"]
    parents = logged[logged["parent"].isna()]
    assert parents.index.tolist() == ["always_large-abc123", "heuristic-abc123"]
    children = logged[logged["parent"] == logged.loc["heuristic-abc123", "run"]]
    assert children["threshold"].tolist() == ["0", "0.25", "1"]
    assert children["quality"].tolist() == [1.0, 0.75, 0.0]
    assert children["logic/quality"].tolist() == [0.5, 0.375, 0.0]
    assert "logic/retention" not in logged  # it is undefined there
    assert logged.loc["always_large at none (operating point)", "parent"] == logged.loc["always_large-abc123", "run"]


def test_a_parent_shows_its_operating_point_and_keeps_the_sweep_as_series(cfg: DictConfig) -> None:
    tracking.log_sweep(cfg, folder(cfg, curves("heuristic", [0.0, 0.25, 1.0])), READ, TAGS)
    client = MlflowClient(cfg.tracking.uri)
    parent = client.get_run(runs(cfg).loc["heuristic-abc123", "run"])
    plain = {name: value for name, value in parent.data.metrics.items() if "/" not in name}
    assert plain == {
        "quality": 0.75,
        "retention": 0.9,
        "cost_usd": 0.5,
        "cost_saving": 2.0,
        "gain_over_mixture": 0.25,
        "small_share": 0.0,
        "tasks": 4.0,
        "threshold": 0.25,
        "apgr": 0.5,
        "mean_gain": 0.125,
    }
    assert parent.data.metrics["quality_by_domain/logic"] == 0.375
    assert all(len(client.get_metric_history(parent.info.run_id, name)) == 1 for name in plain)
    steps = client.get_metric_history(parent.info.run_id, "over_threshold/quality")
    assert [(point.step, point.value) for point in steps] == [(0, 1.0), (250, 0.75), (1000, 0.0)]
    children = runs(cfg).query("parent == @parent.info.run_id")
    at_point = [name for name in children.index if "(operating point)" in name]
    assert at_point == ["heuristic at 0.25 (operating point)"]
    marked = client.get_run(children.loc[at_point[0], "run"]).data
    assert marked.tags["operating_point"] == "yes" and marked.metrics["quality"] == plain["quality"]


def test_a_parent_keeps_what_made_it(cfg: DictConfig) -> None:
    made = folder(cfg, curves("heuristic", [0.25]))
    tracking.log_sweep(cfg, made, READ, TAGS)
    client = MlflowClient(cfg.tracking.uri)
    parent = client.get_run(runs(cfg).loc["heuristic-abc123", "run"])
    assert {path.path for path in client.list_artifacts(parent.info.run_id)} == {
        "cost_quality.png",
        "curves.csv",
        "curve_metrics.csv",
        "operating_points.csv",
        "files",
        "resolved_configuration.yaml",
    }
    kept = {path.path for path in client.list_artifacts(parent.info.run_id, "files")}
    assert kept == {f"files/{path.name}" for path in made.iterdir()}
    places = {"suite": "standard", "pool": "packaged", "inference": "recorded"}
    assert {**places, **TAGS}.items() <= parent.data.tags.items()
    assert "mean quality **0.750**, 90.0% of the most expensive" in parent.data.tags["mlflow.note.content"]
    assert len(parent.data.tags["mlflow.source.git.commit"].removesuffix("-dirty")) == 40
    assert parent.data.params["seed"] == "0"
    assert parent.data.params["routing.name"] == "heuristic"
    read = {
        one.dataset.name: (one.dataset.digest, json.loads(one.dataset.source)) for one in parent.inputs.dataset_inputs
    }
    assert read["standard/small"] == ("cd" * 6, {"uri": "data/outcomes/quick/small.parquet", "sha256": "cd" * 32})


def test_names_that_mlflow_refuses_are_escaped_and_kept_as_they_are_in_a_tag(cfg: DictConfig) -> None:
    named = curves("it's 100%", [0.25]).replace({"domain": {"logic": "R&D, C#/law"}})
    tracking.log_sweep(cfg, folder(cfg, named), READ, TAGS)
    client = MlflowClient(cfg.tracking.uri)
    parent = client.get_run(runs(cfg).loc["it_x27s 100_x25-abc123", "run"])
    assert parent.data.metrics["quality_by_domain/R_x26D_x2c C_x23_x2flaw"] == 0.375
    assert parent.data.tags["domain.R_x26D_x2c C_x23_x2flaw"] == "R&D, C#/law"
    assert parent.data.tags["strategy"] == "it's 100%"


def test_logging_the_same_sweep_again_adds_nothing(cfg: DictConfig) -> None:
    for _ in range(2):
        tracking.log_sweep(cfg, folder(cfg, curves("heuristic", [0.0, 1.0])), READ, TAGS)
    assert len(runs(cfg)) == 3
    history = MlflowClient(cfg.tracking.uri).get_metric_history(
        runs(cfg).loc["heuristic-abc123", "run"], "over_threshold/quality"
    )
    assert [point.value for point in history] == [1.0, 0.0]


def test_another_configuration_has_runs_of_its_own(cfg: DictConfig) -> None:
    for configuration in ["abc123", "def456"]:
        tracking.log_sweep(cfg, folder(cfg, curves("heuristic", [0.0])), READ, {**TAGS, "configuration": configuration})
    assert runs(cfg).index.str.startswith("heuristic-").sum() == 2


def test_a_sweep_stopped_while_logging_continues_where_it_stopped(
    cfg: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = MlflowClient.log_batch
    calls: list[str] = []

    def stopped_at_the_second(self: MlflowClient, run: str, **logged: list) -> None:
        calls.append(run)
        if len(calls) == 2:
            raise KeyboardInterrupt
        whole(self, run, **logged)

    monkeypatch.setattr(MlflowClient, "log_batch", stopped_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        tracking.log_sweep(cfg, folder(cfg, curves("heuristic", [0.0, 0.5, 1.0])), READ, TAGS)
    monkeypatch.setattr(MlflowClient, "log_batch", whole)
    tracking.log_sweep(cfg, folder(cfg, curves("heuristic", [0.0, 0.5, 1.0])), READ, TAGS)
    logged = runs(cfg)
    assert logged["status"].tolist() == ["FINISHED"] * 4
    assert logged["threshold"].dropna().tolist() == ["0", "0.5", "1"]
    assert calls[0] in logged["run"].tolist()  # the complete child is kept
    assert calls[1] not in logged["run"].tolist()  # the half-logged child is not


def test_tracking_off_logs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    off = load_config("tracking=off")
    tracking.log_sweep(off, tmp_path, READ, TAGS)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_one_line_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    cfg = load_config()
    with pytest.raises(OSError, match=r"MLflow at http://127.0.0.1:9: .* tracking=off to do without"):
        tracking.log_sweep(cfg, Path(), READ, TAGS)


def test_a_damaged_store_is_one_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr("mlflow.store.db.utils.time.sleep", lambda seconds: None)  # it would try again for long
    (tmp_path / "mlflow.db").write_text("this is no database, " * 100)
    with pytest.raises(OSError, match=r"MLflow at sqlite:.* tracking=off to do without"):
        tracking.log_sweep(load_config(), tmp_path, READ, TAGS)


def test_a_measurement_is_one_run_with_a_step_per_row(cfg: DictConfig, tmp_path: Path) -> None:
    name = "measured"
    (tmp_path / "figure.pdf").touch()
    table = pd.DataFrame({"path": ["a", "b"], "p50_s": [0.1, np.nan]})
    tracking.log_measurement(cfg, name, table, [tmp_path / "figure.pdf"])
    client = MlflowClient(cfg.tracking.uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "by_row/p50_s")] == [
        (0, 0.1)
    ]
    kept = {path.path for path in client.list_artifacts(run.info.run_id)}
    assert kept == {"figure.pdf", "measured.csv", "resolved_configuration.yaml"}


def test_a_level_of_many_digits_replaces_itself_when_it_is_measured_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a parquet copy is written below the working folder
    cfg = OmegaConf.create({"record": False, "seed": 0, "inference": {"folder": str(tmp_path)}})
    row = {"path": "routing", "mode": "open", "window": 0, "end_s": 1.0, "p50_s": 0.1, "p99_s": 0.2, "memory_bytes": 1}
    for answered in (7, 8, 9):
        rows = pd.DataFrame([row | {"level": 1234.5678, "answered": answered}])
        made = tracking.update_table(cfg, rows, tables.LOAD_WINDOWS, "windows", key_columns=3)
        assert made[["level", "answered"]].values.tolist() == [[1234.57, answered]]


def test_a_password_in_the_address_of_the_store_is_neither_printed_nor_logged(monkeypatch, tmp_path):
    address = "http://user:p%40ss-word@127.0.0.1:9/mlflow"
    assert tracking.without_password(f"{address} p@ss-word", address) == "http://user:***@127.0.0.1:9/mlflow ***"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    asked = load_config("routing=heuristic")
    logged = []
    monkeypatch.setattr(tracking, "build", lambda node: logged.append)
    tracking.log_sweep(asked, tmp_path, READ, TAGS)
    assert "user:***@" in logged[0].resolved and "ss-word" not in logged[0].resolved + str(logged[0].params)
    with pytest.raises(OSError, match=r"MLflow at http://user:\*\*\*@127") as stopped:
        tracking.to_mlflow(logged[0], uri=address, experiment="e")
    assert "ss-word" not in str(stopped.value)
