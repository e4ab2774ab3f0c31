"""States and samples of the smallest packaged model, for real."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate
from omegaconf import open_dict

from experiments.setup.config import load_config
from slm_orchestration import tables
from slm_orchestration.outcomes.side_tables import (
    SampleSettings,
    collect_samples,
    in_task_order,
    reusable_side_table,
    tasks_sha256,
    write_side_table,
)
from tests.models.local.test_model import TASKS

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

    few = collect_samples(smallest, FREE[:1], SampleSettings(1, 0.7, 0), grade=graded, batch_tokens=500)
    more = collect_samples(smallest, FREE[:2], SampleSettings(3, 0.7, 0), grade=graded, batch_tokens=500)
    assert more["repeat"].tolist() == [1, 2, 3, 1, 2, 3]
    assert more["answer"][0] == few["answer"][0]
    assert len(set(more["answer"][:3])) > 1
    assert more["quality"].tolist() == [graded(None, answer) for answer in more["answer"]]


def test_rows_stand_while_their_tasks_and_what_made_them_do(tmp_path):
    table = in_task_order(
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
        return len(reusable_side_table([tmp_path / "none", tmp_path / "here"], "states", "m", tasks, {"made": made}))

    assert rows(TASKS) == rows(TASKS[:2]) == 2
    assert rows(TASKS, made="otherwise") == 0
    assert rows(TASKS[1:]) == 0  # whether the first still looks as it did, nobody knows
    assert rows([replace(TASKS[0], max_tokens=99), *TASKS[1:]]) == 0
