"""A row's key is dataset, task, model and trial; trials are averaged."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.reader import ImportOptions, read_imported
from tests.outcomes.imported.by_hand import refusal, rows, written


def test_trials_are_averaged_and_their_spread_is_said(tmp_path):
    trials = pd.concat([rows(trial=0), rows(trial=1).assign(quality=0.0)])
    imported = read_imported(written(tmp_path, trials))
    assert imported.outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.25, "b": 0.5}
    assert len(imported.outcomes) == 120 and set(imported.outcomes["repeat"]) == {0}
    # three in four answers vary from 1 to 0, which is a variance of 1/2: the root of 3/8 is .61
    assert (
        "2 trials of each task and model are averaged; quality has a standard deviation of 0.61" in imported.remarks[0]
    )


def test_rows_that_repeat_without_a_trial_are_averaged_on_request(tmp_path):
    path = written(tmp_path, pd.concat([rows(), rows().assign(quality=0.0)]))
    assert "set repeats=average" in refusal(path)
    imported = read_imported(path, ImportOptions(repeats="average"))
    assert imported.outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.25, "b": 0.5}
    assert "allowed is refuse or average" in refusal(path, repeats="mean")


def test_equal_ids_in_two_datasets_are_two_tasks(tmp_path):
    path = written(tmp_path, pd.concat([rows(dataset="x"), rows(dataset="y").assign(quality=0.0)]))
    both = read_imported(path)
    assert len(both.tasks) == 120 and "x/t00" in set(both.tasks["task_id"])
    assert both.outcomes.groupby(["dataset", "model"])["quality"].mean().to_dict() == {
        ("x", "a"): 0.5, ("x", "b"): 1.0, ("y", "a"): 0.0, ("y", "b"): 0.0
    }  # fmt: skip
    one = read_imported(path, ImportOptions(datasets=("x",)))
    assert len(one.tasks) == 60 and "t00" in set(one.tasks["task_id"])


def test_what_is_not_selected_is_not_checked(tmp_path):
    bad = pd.concat([rows(dataset="x"), rows(dataset="y").assign(quality=7)])
    path = written(tmp_path, bad)
    assert "quality must lie within" in refusal(path)
    assert len(read_imported(path, ImportOptions(datasets=("x",))).tasks) == 60


@pytest.mark.parametrize("name", ["my.csv", "my.parquet"])
def test_tasks_without_a_prompt_are_groups_of_their_own(tmp_path, name):
    frame = rows(200)
    has = frame["task_id"] < "t5"
    prompts = frame["task_id"].map(lambda task: f"{task} asks about {int(task[1:]) ** 7} horses")
    frame = frame.assign(prompt=prompts.where(has, None if name == "my.parquet" else np.nan))
    tasks = read_imported(written(tmp_path, frame, name)).tasks
    assert tasks["group"].nunique() == 200
    assert (tasks.loc[tasks["question"].isna(), "split"].value_counts() > 5).sum() >= 3
    dropped = read_imported(tmp_path / name, ImportOptions(unanswered="drop"))
    assert len(dropped.tasks) == int(has.sum() / 2)
    assert "dropped, as they have no prompt" in " ".join(dropped.remarks)


def test_a_prompt_that_one_row_lacks_is_that_of_another_row(tmp_path):
    frame = rows().assign(prompt=lambda f: "what is " + f["task_id"])
    frame.loc[::3, "prompt"] = None
    tasks = read_imported(written(tmp_path, frame)).tasks
    assert tasks["question"].eq("what is " + tasks["task_id"]).all()
