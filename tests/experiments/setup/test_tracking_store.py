"""The MLflow store that several processes make and fill at once, that is killed while it is made, or cannot be used."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from experiments.setup.tracking_store import held_store

ROOT = Path(__file__).parents[3]
LOGGED = """
from experiments.setup.config import load_config
from experiments.setup.tracking import log_sweep
from tests.experiments.setup.test_tracking import READ, TAGS, curves, folder
cfg = load_config("routing=heuristic", "tracking.experiment=race")
log_sweep(cfg, folder(cfg, curves("one", [0.0, 0.5, 1.0]), chosen=0.5), READ, TAGS)
"""


def logging_process(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    return subprocess.Popen(
        [sys.executable, "-c", LOGGED], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.timeout(300)
def test_after_a_kill_while_the_store_is_made_two_processes_log_one_strategy_once(tmp_path):
    killed = logging_process(tmp_path)
    while not list(tmp_path.glob(".mlflow.db.*")):
        assert killed.poll() is None
        time.sleep(0.01)
    time.sleep(0.3)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "mlflow.db").exists()
    for process in [logging_process(tmp_path) for _ in range(2)]:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (experiment,) = (found for found in client.search_experiments() if found.name == "race")
    logged = sorted(run.data.tags.get("threshold", "") for run in client.search_runs([experiment.experiment_id]))
    assert logged == ["", "0", "0.5", "1"]


def _of_text(path: Path) -> None:
    path.write_text("not a database, but long enough to be taken for one" * 40)


def _of_another_program(path: Path) -> None:
    sqlite3.connect(path).execute("CREATE TABLE other (test INTEGER)")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "unable to open database file"),
        (_of_text, "file is not a database"),
        (_of_another_program, "not an MLflow store; move it away"),
        (Path.touch, "not an MLflow store; move it away"),
    ],
)
def test_a_file_that_is_no_store_is_named_at_once_and_kept(tmp_path, make, reason):
    path = tmp_path / "mlflow.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    started = time.monotonic()
    with pytest.raises(OSError, match=f"mlflow.db: {reason}"), held_store(f"sqlite:///{path}"):
        pass
    assert time.monotonic() - started < 5
    assert before == (path.read_bytes() if path.is_file() else None)


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a folder that nobody can write to")
def test_a_store_in_a_folder_that_cannot_be_written_to_fails_at_once():
    started = time.monotonic()
    with pytest.raises(OSError, match=r"mlflow\.db"), held_store("sqlite:////sys/kernel/mlflow.db"):
        pass
    assert time.monotonic() - started < 5
