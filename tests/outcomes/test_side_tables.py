from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate

from experiments.setup.config import load_config
from slm_orchestration import tables
from slm_orchestration.outcomes.side_tables import (
    SampleSettings,
    collect_samples,
    in_task_order,
    read_side_table,
    reusable_side_table,
    tasks_sha256,
    write_side_table,
)
from slm_orchestration.outcomes.store import OutcomesError
from tests.models.local.test_model import TASKS

TASKS = [replace(task, reference='["A"]') for task in TASKS]
FREE = [task for task in TASKS if task.choices is None]
STATES = pd.DataFrame(
    {
        "task_id": ["logic/made/0", "logic/made/1"],
        "model": ["small", "small"],
        "state": list(np.array([[0.5, -1], [2, 0]], np.float16)),
    }
)


def test_states_come_back_as_float16_rows(tmp_path):
    write_side_table(STATES, tmp_path, "states", "small", metadata={})
    read = read_side_table(tmp_path, "states", "small")
    assert np.stack(read["state"].tolist()).tolist() == [[0.5, -1.0], [2.0, 0.0]]
    assert read["state"][0].dtype == np.float16


def test_a_missing_table_names_the_command_and_a_changed_one_is_refused(tmp_path):
    with pytest.raises(
        OutcomesError, match=r"not recorded; run `python -m experiments\.collect .*inference\.states=true"
    ):
        read_side_table(tmp_path, "states", "small")
    write_side_table(STATES, tmp_path, "states", "small", metadata={})
    STATES.assign(task_id=["a", "b"]).to_parquet(tmp_path / "states" / "small.parquet")
    with pytest.raises(OutcomesError, match="is not the file that its manifest lists"):
        read_side_table(tmp_path, "states", "small")


@pytest.fixture(scope="module")
def smallest():
    return instantiate(load_config("pool=packaged").pool.models[0], device="cpu", dtype="float32")


@pytest.mark.real
def test_more_samples_leave_the_first_ones_unchanged(smallest):
    def graded(task, answer):
        return float(len(answer) > 3)

    few = collect_samples(smallest, FREE[:1], SampleSettings(1, 0.7, 0), grade=graded, batch_tokens=500)
    more = collect_samples(smallest, FREE[:2], SampleSettings(3, 0.7, 0), grade=graded, batch_tokens=500)
    assert more["repeat"].tolist() == [1, 2, 3, 1, 2, 3]
    assert more["answer"][0] == few["answer"][0]
    assert len(set(more["answer"][:3])) > 1
    assert more["quality"].tolist() == [graded(None, answer) for answer in more["answer"]]


def test_a_side_table_is_reused_while_its_tasks_and_metadata_are_unchanged(tmp_path):
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
    assert rows(TASKS[1:]) == 0  # whether the first task is unchanged is unknown
    assert rows([replace(TASKS[0], max_tokens=99), *TASKS[1:]]) == 0
