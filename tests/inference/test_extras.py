"""States and samples of the smallest packaged model, for real."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate
from omegaconf import open_dict

from experiments import extras
from experiments.config import load_config
from experiments.extras import record_extras
from slm_orchestration import tables
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.outcomes.side_tables import (
    Drawing,
    in_order,
    read_side_table,
    sampled_answers,
    standing,
    state_rows,
    tasks_sha256,
    write_side_table,
)
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
def test_collect_records_side_tables_once_and_more_when_tasks_are_added(cfg, smallest, monkeypatch):
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
    assert np.allclose(np.stack(state_rows(smallest, TASKS[:3])["state"].tolist())[:2], states, atol=0.05)
    asked = []
    monkeypatch.setattr(extras, "state_rows", lambda model, some: asked.append(some) or state_rows(model, some))
    record_extras(cfg, smallest, TASKS[:3])
    assert asked == [TASKS[2:3]]
    grown = read_side_table(folder, "states", smallest.name)
    assert grown["task_id"].tolist() == [task.task_id for task in TASKS[:3]]
    assert np.array_equal(np.stack(grown["state"].tolist())[:2], states)


def test_rows_stand_while_their_tasks_and_what_made_them_do(tmp_path):
    table = in_order(
        tables.conform(
            pd.DataFrame(
                [(task.task_id, "m", np.ones(2, np.float16)) for task in reversed(TASKS[:2])],
                columns=tables.STATES.names,
            ),
            tables.STATES,
        ),
        TASKS,
    )
    assert table["task_id"].tolist() == [task.task_id for task in TASKS[:2]]
    metadata = {"made": "so", "tasks_sha256": tasks_sha256(table, TASKS)}
    write_side_table(table, tmp_path / "here", "states", "m", metadata=metadata)

    def rows(tasks, made="so"):
        return len(standing([tmp_path / "none", tmp_path / "here"], "states", "m", tasks, {"made": made}))

    assert rows(TASKS) == rows(TASKS[:2]) == 2
    assert rows(TASKS, made="otherwise") == 0
    assert rows(TASKS[1:]) == 0  # whether the first still looks as it did, nobody knows
    assert rows([replace(TASKS[0], max_tokens=99), *TASKS[1:]]) == 0


def test_models_that_cannot_be_read_have_no_side_tables(cfg, tmp_path):
    record_extras(cfg, ScriptedModel("smollm2-135m"), TASKS)
    assert not (tmp_path / "states").exists()
