"""A folder of files: outcomes below each other, a file per model, and files that describe tasks."""

import pandas as pd

from slm_orchestration.outcomes.imported.reader import ImportOptions, read_imported, read_new_tasks
from tests.outcomes.imported.by_hand import refusal, rows, written


def test_a_file_per_model_and_a_file_of_prompts_are_joined(tmp_path):
    for model, part in rows().groupby("model"):
        written(tmp_path, part.drop(columns="model"), f"{model}.csv")
    prompts = pd.DataFrame(
        {"task_id": [f"t{n:02d}" for n in range(60)], "question": [f"what is {n}?" for n in range(60)]}
    )
    written(tmp_path, prompts, "prompts.parquet")
    imported = read_imported(tmp_path)
    assert imported.models == ("a", "b")
    assert imported.tasks.set_index("task_id").loc["t07", "question"] == "what is 7?"
    assert "prompt joined from prompts.parquet" in imported.remarks


def test_costs_of_a_file_of_their_own_are_joined_by_task_and_model(tmp_path):
    written(tmp_path, rows(), "outcomes.csv")
    written(tmp_path, rows(cost_usd=1.0).drop(columns="quality").assign(cost_usd=range(120)), "costs.csv")
    costs = read_imported(tmp_path).outcomes.set_index(["task_id", "model"])["cost_usd"]
    assert (costs["t00", "b"], costs["t00", "a"], costs["t59", "a"]) == (0, 1, 119)


def test_a_file_that_joins_nothing_or_twice_is_refused(tmp_path):
    written(tmp_path, rows(), "outcomes.csv")
    written(tmp_path, pd.DataFrame({"task_id": ["x"], "prompt": ["y"]}), "prompts.csv")
    assert "no row has the task_id of a row of outcomes.csv" in refusal(tmp_path)
    written(tmp_path, pd.DataFrame({"task_id": ["t00", "t00"], "prompt": ["y", "z"]}), "prompts.csv")
    assert "prompts.csv, row 2" in refusal(tmp_path) and "repeats the task_id" in refusal(tmp_path)


def _asked(tasks: int) -> pd.DataFrame:
    return rows(tasks).assign(prompt=lambda f: "what is " + f["task_id"])


def test_new_tasks_are_read_by_the_same_rules_and_keep_their_quality(tmp_path):
    known = read_imported(written(tmp_path, _asked(60), "known.csv"))
    later = _asked(20).rename(columns={"quality": "Correct", "task_id": "Task ID"})
    new = read_new_tasks(written(tmp_path, later, "new.csv"), known, ImportOptions())
    assert new.outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.5, "b": 1.0}
    asked = read_new_tasks(written(tmp_path, later[["Task ID", "prompt"]], "asked.csv"), known, ImportOptions())
    assert len(asked.tasks) == 20 and asked.outcomes.empty
