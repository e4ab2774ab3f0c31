"""Recorded outcomes of other people's models: what is read, what is refused and in which words."""

from pathlib import Path

import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.reader import ImportOptions, read_imported
from slm_orchestration.tasks.task import SPLITS
from tests.outcomes.imported.by_hand import refusal, rows, written


@pytest.mark.parametrize("name", ["my.csv", "my.csv.gz", "my.tsv", "my.parquet"])
def test_three_columns_are_enough_and_what_is_missing_stays_null(tmp_path, name):
    imported = read_imported(written(tmp_path, rows(), name))
    assert imported.models == ("a", "b")
    assert imported.small == ("a",)
    assert imported.cost_unit == "calls"
    outcomes = imported.outcomes
    assert outcomes[["answer", "cost_usd", "latency_s", "prompt_tokens", "confidence"]].isna().all(axis=None)
    assert outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.5, "b": 1.0}
    assert imported.tasks["question"].isna().all()
    assert imported.tasks["group"].tolist() == imported.tasks["task_id"].tolist()
    assert set(imported.tasks["split"]) <= set(SPLITS)
    assert set(imported.tasks["dataset"]) == {"my"}


def test_the_order_of_the_rows_changes_nothing(tmp_path):
    frame = rows(cost_usd=0.1, dataset="d").assign(prompt=lambda f: f["task_id"] + " as asked of " + f["model"])
    one, other = (
        read_imported(written(tmp_path, given, name))
        for given, name in ((frame, "one.csv"), (frame.sample(frac=1, random_state=0), "other.csv"))
    )
    assert one.tasks.equals(other.tasks)
    assert one.outcomes.equals(other.outcomes)
    assert (one.models, one.remarks) == (other.models, other.remarks)


def test_agreement_with_a_model_is_quality_and_is_called_a_proxy(tmp_path):
    frame = rows().drop(columns="quality")
    frame["output"] = ["Paris", " paris "] * 59 + ["Paris", "Rome"]
    imported = read_imported(written(tmp_path, frame), ImportOptions(quality="agreement_with:b"))
    assert imported.outcomes.groupby("model")["quality"].sum().to_dict() == {"a": 59.0, "b": 60.0}
    assert "a proxy" in imported.remarks[0]


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ({"models": ("a", "c")}, ["no 'c'", "they are b, a"]),
        ({"small": ("x",)}, ["small='x' is not a model", "a, b"]),
        ({"small": ("a", "b")}, ["every model"]),
        ({"datasets": ("mmlu",)}, ["no 'mmlu'", "not given"]),
        ({"unanswered": "skip"}, ["refuse or drop"]),
        ({"quality": "agreement"}, ["agreement_with:<model>"]),
        ({"quality": "agreement_with:c"}, ["is not a model of the file", "a, b"]),
        ({"quality": "agreement_with:a"}, ["column output"]),
        ({"token_prices": Path("none.csv")}, ["none.csv", "no such file"]),
    ],
)
def test_an_impossible_selection_is_refused(tmp_path, selection, said):
    message = refusal(written(tmp_path, rows()), **selection)
    assert [part for part in said if part not in message] == []


def test_the_order_of_rows_changes_nothing(tmp_path):
    frame = rows(domain="logic")
    one = read_imported(written(tmp_path, frame))
    other = read_imported(written(tmp_path, frame.sample(frac=1, random_state=1)))
    pd.testing.assert_frame_equal(one.tasks, other.tasks)
    assert one.models == other.models
