"""Runs in a real MLflow store: a parent per strategy, a child per threshold, and nothing twice."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from omegaconf import DictConfig

from experiments.setup import tracking
from experiments.setup.config import load_config
from slm_orchestration import tables
from slm_orchestration.tables import CURVES

TAGS = {"configuration": "abc123", "outcomes.small": "sha256 of the small model's outcomes"}


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
            **run.data.metrics,
        }
        for run in found
    ]
    return pd.DataFrame(rows).set_index("name").sort_index()


def test_a_parent_per_strategy_holds_a_child_per_threshold(cfg: DictConfig) -> None:
    both = pd.concat([curves("heuristic", [0.0, 0.25, 1.0]), curves("always_large", [float("nan")])])
    tracking.log_sweep(cfg, both, {}, TAGS)
    logged = runs(cfg)
    assert logged["status"].unique().tolist() == ["FINISHED"]
    parents = logged[logged["parent"].isna()]
    assert parents.index.tolist() == ["always_large-abc123", "heuristic-abc123"]
    children = logged[logged["parent"] == logged.loc["heuristic-abc123", "run"]]
    assert children["threshold"].tolist() == ["0", "0.25", "1"]
    assert children["quality"].tolist() == [1.0, 0.75, 0.0]
    assert children["logic/quality"].tolist() == [0.5, 0.375, 0.0]
    assert "logic/retention" not in logged  # it is undefined there
    assert logged.loc["always_large at none", "parent"] == logged.loc["always_large-abc123", "run"]


def test_a_parent_keeps_what_made_it(cfg: DictConfig, tmp_path: Path) -> None:
    table = tmp_path / "curves.parquet"
    tables.write(curves("heuristic", [0.25]), CURVES, table, metadata={})
    tracking.log_sweep(cfg, curves("heuristic", [0.25]), {"curves": table}, TAGS)
    client = MlflowClient(cfg.tracking.uri)
    parent = client.get_run(runs(cfg).loc["heuristic-abc123", "run"])
    assert {path.path for path in client.list_artifacts(parent.info.run_id)} == {
        "curves.parquet",
        "resolved_configuration.yaml",
    }
    assert {
        "suite": "standard",
        "pool": "packaged",
        "inference": "recorded",
        **TAGS,
    }.items() <= parent.data.tags.items()
    assert len(parent.data.tags["mlflow.source.git.commit"].removesuffix("-dirty")) == 40
    assert parent.data.params["seed"] == "0"
    assert parent.data.params["routing.name"] == "heuristic"
    steps = client.get_metric_history(parent.info.run_id, "quality")
    assert [(point.step, point.value) for point in steps] == [(250, 0.75)]


def test_logging_the_same_sweep_again_adds_nothing(cfg: DictConfig) -> None:
    for _ in range(2):
        tracking.log_sweep(cfg, curves("heuristic", [0.0, 1.0]), {}, TAGS)
    assert len(runs(cfg)) == 3
    history = MlflowClient(cfg.tracking.uri).get_metric_history(runs(cfg).loc["heuristic-abc123", "run"], "quality")
    assert [point.value for point in history] == [1.0, 0.0]


def test_another_configuration_has_runs_of_its_own(cfg: DictConfig) -> None:
    for configuration in ["abc123", "def456"]:
        tracking.log_sweep(cfg, curves("heuristic", [0.0]), {}, {**TAGS, "configuration": configuration})
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
        tracking.log_sweep(cfg, curves("heuristic", [0.0, 0.5, 1.0]), {}, TAGS)
    monkeypatch.setattr(MlflowClient, "log_batch", whole)
    tracking.log_sweep(cfg, curves("heuristic", [0.0, 0.5, 1.0]), {}, TAGS)
    logged = runs(cfg)
    assert logged["status"].tolist() == ["FINISHED"] * 4
    assert logged["threshold"].dropna().tolist() == ["0", "0.5", "1"]
    assert calls[0] in logged["run"].tolist()  # the complete child is kept
    assert calls[1] not in logged["run"].tolist()  # the half-logged child is not


def test_tracking_off_logs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    off = load_config("tracking=off")
    tracking.log_sweep(off, curves("heuristic", [0.0]), {}, TAGS)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_one_line_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    cfg = load_config()
    with pytest.raises(OSError, match=r"MLflow at http://127.0.0.1:9: .* tracking=off to do without"):
        tracking.log_sweep(cfg, curves("heuristic", [0.0]), {}, TAGS)


def test_a_damaged_store_is_one_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr("mlflow.store.db.utils.time.sleep", lambda seconds: None)  # it would try again for long
    (tmp_path / "mlflow.db").write_text("this is no database, " * 100)
    with pytest.raises(OSError, match=r"MLflow at sqlite:.* tracking=off to do without"):
        tracking.log_sweep(load_config(), curves("heuristic", [0.0]), {}, TAGS)


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
    assert [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "p50_s")] == [(0, 0.1)]
    kept = {path.path for path in client.list_artifacts(run.info.run_id)}
    assert kept == {"figure.pdf", "measured.csv", "resolved_configuration.yaml"}
