"""Side tables of the smallest packaged model, recorded for real."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from experiments import collect, grade
from experiments.setup.config import load_config
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.outcomes.latency import read_profile
from slm_orchestration.outcomes.side_tables import StateSettings, collect_states, read_side_table
from slm_orchestration.outcomes.store import read_recorded
from tests.experiments.by_hand import write_suite
from tests.models.local.test_model import TASKS

SETTINGS = StateSettings(None, "mean")
TASKS = [replace(task, reference='["A"]') for task in TASKS]


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    cfg = load_config("pool=packaged", "inference.states=true", "inference.samples=true", "inference.sample_count=2")
    with open_dict(cfg):
        cfg.paths.outcomes = str(tmp_path_factory.mktemp("outcomes"))
    return cfg


@pytest.fixture(scope="module")
def smallest(cfg):
    return instantiate(cfg.pool.models[0], device="cpu", dtype="float32")


@pytest.mark.real
def test_collect_records_side_tables_once_and_more_when_tasks_are_added(cfg, smallest, monkeypatch):
    folder = Path(cfg.paths.outcomes)
    collect.record_side_tables(cfg, smallest, TASKS[:2])
    states = np.stack(read_side_table(folder, "states", smallest.name)["state"].tolist())
    assert states.shape == (2, 576)
    assert np.isfinite(states).all()
    samples = read_side_table(folder, "samples", smallest.name)
    assert samples["task_id"].tolist() == [TASKS[1].task_id] * 2
    assert (samples["cost_usd"] > 0).all()
    before = (folder / "states" / f"{smallest.name}.parquet").stat().st_mtime_ns
    collect.record_side_tables(cfg, smallest, TASKS[:2])
    assert (folder / "states" / f"{smallest.name}.parquet").stat().st_mtime_ns == before
    assert np.allclose(np.stack(collect_states(smallest, TASKS[:3], SETTINGS)["state"].tolist())[:2], states, atol=0.05)
    asked = []
    monkeypatch.setattr(
        collect,
        "collect_states",
        lambda model, chunk, settings: asked.append(chunk) or collect_states(model, chunk, settings),
    )
    collect.record_side_tables(cfg, smallest, TASKS[:3])
    assert asked == [TASKS[2:3]]
    grown = read_side_table(folder, "states", smallest.name)
    assert grown["task_id"].tolist() == [task.task_id for task in TASKS[:3]]
    assert np.array_equal(np.stack(grown["state"].tolist())[:2], states)


def test_models_without_hidden_states_have_no_side_tables(cfg, tmp_path):
    collect.record_side_tables(cfg, ScriptedModel("smollm2-135m"), TASKS)
    assert not (tmp_path / "states").exists()


class _Timed:
    """A model whose calls take the seconds that a busy machine gives them: noise, until it is left alone."""

    name = "timed"

    def __init__(self, noisy: int) -> None:
        self.noisy = noisy


@pytest.mark.parametrize(("noisy", "timings"), [(0, 1), (2, 3)])
def test_a_noisy_timing_is_repeated(noisy: int, timings: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, made = _Timed(noisy), []
    monkeypatch.setattr(collect, "measure_calls", lambda *_, **__: pd.DataFrame({"concurrency": [], "seconds": []}))
    monkeypatch.setattr(
        collect, "fit_profile", lambda _: made.append(1) or {"heldout_error": 0.68 if len(made) <= 2 * noisy else 0.1}
    )
    assert collect._fitted(model, [], rows=1, seed=0)["one"]["heldout_error"] == 0.1
    assert len(made) == 2 * timings


def test_a_timing_that_stays_noisy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "measure_calls", lambda *_, **__: pd.DataFrame({"concurrency": [], "seconds": []}))
    monkeypatch.setattr(collect, "fit_profile", lambda _: {"heldout_error": 0.68})
    with pytest.raises(ValueError, match=r"timed: its seconds are known to 68% only \(at most 35%\), with a load of"):
        collect._fitted(_Timed(9), [], rows=1, seed=0)


@pytest.mark.parametrize("asked", ["states", "samples"])
def test_a_shard_does_not_replace_the_side_tables_of_the_others(asked: str, tmp_path: Path) -> None:
    cfg = load_config("shard=1/4", f"inference.{asked}=true", f"paths.outcomes={tmp_path}", config="collect")
    with pytest.raises(ValueError, match=r"^shard=1/4: hidden states and samples are not recorded in shards; merge"):
        collect.main(cfg)


def scripted(folder: Path, *words: str) -> DictConfig:
    """The configuration of collecting quick with scripted models into `folder`."""
    where = (f"inference.folder={folder}", f"paths.tasks={folder}/quick.parquet")
    return load_config("inference=live", "suite=quick", "pool=scripted", *where, *words, config="collect")


@pytest.fixture
def with_tasks(tmp_path: Path) -> Path:
    write_suite(scripted(tmp_path))
    return tmp_path


def test_answers_that_are_graded_later_need_no_sandbox_no_prices_and_no_timing(
    with_tasks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def needed(*_: object) -> None:
        raise AssertionError("not for answers that are graded elsewhere")

    for name in ("time_model", "read_prices", "score"):
        monkeypatch.setattr(collect, name, needed)
    monkeypatch.setattr(collect.inputs, "require_sandbox", needed)
    collect.main(scripted(with_tasks, "grade=later"))
    assert "scripted-large: 120 answered now, 120 in all" in capsys.readouterr().out
    frame, _ = read_recorded(with_tasks / "quick", "scripted-small")
    assert frame[["quality", "latency_s", "cost_usd"]].isna().all(axis=None)
    monkeypatch.undo()
    collect.main(scripted(with_tasks, "only=profile"))
    grade.main(scripted(with_tasks))
    frame, _ = read_recorded(with_tasks / "quick", "scripted-small")
    assert frame[["quality", "latency_s", "cost_usd"]].notna().all(axis=None)


def test_a_profile_alone_is_measured_again_and_answers_nothing(with_tasks: Path) -> None:
    for _ in range(2):
        collect.main(scripted(with_tasks, "only=profile", "model=scripted-small"))
    profile = read_profile(with_tasks / "profiles" / "this_machine.csv")
    assert profile["model"].tolist() == ["scripted-small"] * 2
    assert not (with_tasks / "quick" / "scripted-small.parquet").exists()


def test_models_share_the_time_and_what_is_left_is_said(with_tasks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    collect.main(scripted(with_tasks, "max_seconds=0.0001", "inference.token_budget=1"))
    said = capsys.readouterr().out
    assert "scripted-small: stopped after max_seconds, 1 answered now; finished blocks hold 0 of 120" in said
    assert "scripted-large: stopped after max_seconds, 1 answered now; finished blocks hold 0 of 120" in said
    assert collect._share_of_time(600, time.monotonic() - 100, 2) == pytest.approx(250, abs=1)
    assert collect._share_of_time(None, 0.0, 2) is None


def test_samples_cannot_be_graded_later(with_tasks: Path) -> None:
    with pytest.raises(ValueError, match="grade=later: sampled answers are graded as they come"):
        collect.main(scripted(with_tasks, "grade=later", "inference.samples=true"))
