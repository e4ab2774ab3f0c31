"""The live orchestrator is the one that the configuration describes, fitted before the first request."""

from pathlib import Path

import pytest
from omegaconf import DictConfig, open_dict

from experiments.setup.config import load_config
from experiments.setup.orchestrator import fitted_orchestrator
from tests.serving.by_hand import LARGE, MIDDLE, NAMES, SMALL, task, write_records


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLM_ORCHESTRATION_CACHE", str(tmp_path / "cache"))
    write_records(tmp_path)
    return tmp_path


def configured(folder: Path, *words: str) -> DictConfig:
    paths = [f"paths.outcomes={folder}/outcomes", f"paths.tasks={folder}/tasks.parquet", "pool=instant"]
    return load_config(*paths, "serve.orchestrator.routing_strategy=length", *words, config="serve")


def test_the_aim_of_the_command_line_chooses_the_live_threshold(records: Path) -> None:
    words = ["serve.orchestrator.aim=budget", "serve.orchestrator.budget_share=0.1"]
    with fitted_orchestrator(configured(records, *words)) as running:
        # A tenth of the large model's cost pays for the small model alone.
        assert "for at most 0.1 of the most expensive model's cost" in running.prepare().rule
        assert running.process_task("Is 7 even?").model == SMALL


def test_the_seed_the_pool_and_the_protection_are_those_of_the_command_line(records: Path) -> None:
    words = ["seed=7", f"pool.small=[{SMALL}]", "serve.protection.attempts=3", "serve.protection.timeout_s=null"]
    with fitted_orchestrator(configured(records, *words)) as running:
        assert (running.settings.seed, running.settings.routing_strategy) == (7, "length")
        assert (running.pool.names, running.pool.small) == (NAMES, frozenset({SMALL}))
        protection = running._call.protection
        assert (protection.attempts, protection.timeout_s, protection.window) == (3, None, 20)


def test_a_model_that_fails_is_asked_as_often_as_configured_and_then_replaced(records: Path) -> None:
    words = ["+serve.orchestrator.routing_threshold=1.0", "serve.protection.attempts=3", "serve.protection.backoff_s=0"]
    cfg = configured(records, *words)
    with open_dict(cfg):
        cfg.pool.models[0].update(fails_on=["Is 7 even?"], fails_always=True)
    with fitted_orchestrator(cfg) as running:
        result = running.process_task(task("Is 7 even?"))
        assert [len(model.calls) for model in running.pool.models] == [3, 1, 0]
        assert (result.model, result.output) == (MIDDLE, "an instant answer")


def test_outcomes_that_were_not_recorded_stop_it_before_the_first_request(records: Path) -> None:
    (records / "outcomes" / f"{LARGE}.parquet").unlink()
    with pytest.raises(ValueError, match=rf"{LARGE} has not answered this suite; run `python -m experiments\.collect "):
        fitted_orchestrator(configured(records))
