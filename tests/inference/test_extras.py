"""States and samples of the smallest packaged model, for real."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import open_dict

from experiments.config import load_config
from experiments.extras import record_extras
from slm_orchestration.inference.extras import Drawing, is_recorded, sampled_answers, state_rows
from slm_orchestration.inference.side_tables import read_side_table
from slm_orchestration.models.scripted import ScriptedModel
from tests.models.test_local import TASKS

TASKS = [replace(task, reference='["A"]') for task in TASKS]
FREE = [task for task in TASKS if task.choices is None]


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
def test_more_samples_leave_the_first_ones_as_they_are(smallest):
    def graded(task, answer):
        return float(len(answer) > 3)

    few = sampled_answers(smallest, FREE[:1], Drawing(1, 0.7, 0), grade=graded, batch_tokens=500)
    more = sampled_answers(smallest, FREE[:2], Drawing(3, 0.7, 0), grade=graded, batch_tokens=500)
    assert more["repeat"].tolist() == [1, 2, 3, 1, 2, 3]
    assert more["answer"][0] == few["answer"][0]
    assert len(set(more["answer"][:3])) > 1
    assert more["quality"].tolist() == [graded(None, answer) for answer in more["answer"]]


@pytest.mark.real
def test_collect_records_side_tables_once_and_again_when_tasks_are_added(cfg, smallest):
    folder = Path(cfg.paths.outcomes)
    record_extras(cfg, smallest, TASKS[:2])
    states = np.stack(read_side_table(folder, "states", smallest.name)["state"].tolist())
    assert states.shape == (2, 576)
    assert np.isfinite(states).all()
    samples = read_side_table(folder, "samples", smallest.name)
    assert samples["task_id"].tolist() == [TASKS[1].task_id] * 2
    assert (samples["cost_usd"] > 0).all()
    before = (folder / "states" / f"{smallest.name}.parquet").stat().st_mtime_ns
    record_extras(cfg, smallest, TASKS[:2])
    assert (folder / "states" / f"{smallest.name}.parquet").stat().st_mtime_ns == before
    assert not is_recorded(folder, "states", smallest.name, TASKS[:3], smallest.identity())
    assert np.allclose(np.stack(state_rows(smallest, TASKS[:3])["state"].tolist())[:2], states, atol=0.05)


def test_models_that_cannot_be_read_have_no_side_tables(cfg, tmp_path):
    record_extras(cfg, ScriptedModel("smollm2-135m"), TASKS)
    assert not (tmp_path / "states").exists()
