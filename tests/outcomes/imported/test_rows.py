"""Rows of imported outcomes: what is read, what is refused and in which words."""

from pathlib import Path

import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.columns import COLUMNS
from slm_orchestration.outcomes.imported.files import ImportedError, read_file
from slm_orchestration.outcomes.imported.reader import ImportOptions, read_imported
from slm_orchestration.outcomes.imported.rows import check_rows, check_tasks
from tests.outcomes.imported.by_hand import refusal, rows, written

MINE = Path("my.csv")


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.assign(quality=f["quality"] == 1),
        lambda f: f.assign(quality=f["quality"].map({0.0: "no", 1.0: "Yes"})),
        lambda f: f.rename(columns={"task_id": "Task_ID", "model": " Model", "quality": "correct"}),
        lambda f: f.assign(model=f["model"] + " ", task_id=" " + f["task_id"]),
    ],
)
def test_the_same_outcomes_in_other_words_are_the_same(tmp_path, change):
    one, other = (read_imported(written(tmp_path, frame)) for frame in (rows(), change(rows())))
    assert one.outcomes.equals(other.outcomes)


def test_semicolons_decimal_commas_and_a_byte_order_mark_are_read(tmp_path):
    frame = rows(cost_usd=0.25).assign(quality=lambda f: f["quality"] / 2)
    text = frame.to_csv(index=False, sep=";", decimal=",")
    (tmp_path / "my.csv").write_text(text, encoding="utf-8-sig")
    outcomes = read_imported(tmp_path / "my.csv").outcomes
    assert outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.25, "b": 0.5}
    assert set(outcomes["cost_usd"]) == {0.25}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="model"), ["column 'model' is missing", "task_id, model, quality"]),
        (lambda f: f.pivot(index="task_id", columns="model", values="quality").reset_index(), ["models=[a,b]"]),
        (lambda f: f.assign(signals="{'p_true': 1}"), ["row 1 (row 2 in a spreadsheet): signals must", "p_true"]),
        (lambda f: pd.concat([f, f]).assign(repeat=1), ["row 121", "repeats the task, model and trial"]),
        (lambda f: f.rename(columns={"quality": "score"}), ["column 'quality' is missing", "The file has", "score"]),
        (lambda f: f.iloc[:0], ["holds no rows"]),
        (lambda f: f.assign(quality=f["quality"] * 100), ["row 1", "quality must lie within 0 and 1", "percentages"]),
        (
            lambda f: f.assign(quality=f["quality"].where(f.index != 6)),
            ["row 7", "quality is missing", "unanswered=drop"],
        ),
        (lambda f: f.assign(quality=f["quality"].astype(str).where(f.index != 6, "good")), ["row 7", "not a number"]),
        (lambda f: pd.concat([f, f.iloc[[4]]]), ["row 121", "repeats the task and model"]),
        (lambda f: f.drop(index=5), ["'a' has no row for 1 of 60 tasks, first 't02'", "unanswered=drop", "59 tasks"]),
        (lambda f: f.assign(model=f["model"].replace("a", "guess")), ["is called 'guess'", "rename it"]),
        (lambda f: f[f["model"] == "a"], ["at least 2 models", "found a"]),
        (lambda f: f.assign(cost_usd=-1.0), ["row 1", "cost_usd must lie within 0"]),
        (lambda f: f.assign(task_id=f["task_id"].where(f.index != 2, "")), ["row 3", "task_id is missing"]),
        (lambda f: f.assign(dataset=["x", "y"] * 60), ["models answered different tasks"]),
        (lambda f: f.iloc[:20], ["10 tasks in 10 groups", "at least 5 are needed"]),
        (lambda f: f.assign(split=["fit"] * 60 + ["evaluation"] * 60, group="g"), ["into 2 splits", "keep near"]),
    ],
)
def test_malformed_rows_are_refused_with_file_row_and_reason(tmp_path, change, said):
    path = written(tmp_path, change(rows()))
    message = refusal(path)
    assert message.startswith(str(path))
    assert [part for part in said if part not in message] == []


def test_files_that_are_no_outcomes_are_refused_in_one_line(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.csv")
    assert "holds neither" in refusal(tmp_path)
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    assert "cannot be read" in refusal(tmp_path / "broken.parquet")
    (tmp_path / "empty.csv").write_bytes(b"")
    assert "is empty" in refusal(tmp_path / "empty.csv")
    (tmp_path / "other.csv").write_bytes("task_id,model,quality,prompt\n1,a,1,é\n".encode("latin-1"))
    assert "save it as UTF-8" in refusal(tmp_path / "other.csv")
    (tmp_path / "tabs.csv").write_text(rows().to_csv(index=False, sep="\t"))
    assert read_imported(tmp_path / "tabs.csv").models == ("a", "b")
    (tmp_path / "my.xlsx").write_bytes(b"")
    assert ".csv, .tsv, .parquet, .jsonl" in refusal(tmp_path / "my.xlsx")


def test_tasks_that_a_model_did_not_answer_are_dropped_only_on_request(tmp_path):
    path = written(tmp_path, rows().drop(index=5))
    imported = read_imported(path, ImportOptions(unanswered="drop"))
    assert len(imported.tasks) == 59
    assert "1 of 60 tasks dropped" in " ".join(imported.remarks)


def test_an_id_keeps_its_zeros_and_a_model_may_be_called_na(tmp_path):
    (tmp_path / "my.csv").write_text("task_id,model,quality\n007,NA,1\n007,b,0\n")
    checked, _ = check_rows(read_file(tmp_path / "my.csv"), MINE)
    assert checked["task_id"].tolist() == ["007", "007"]
    assert checked["model"].tolist() == ["NA", "b"]
    assert checked["quality"].tolist() == [1.0, 0.0]


def test_json_lines_keep_texts_that_look_like_numbers_or_dates(tmp_path):
    (tmp_path / "my.jsonl").write_text('{"task_id": "01", "prompt": "2024-01-01", "quality": 0.5}\n')
    (row,) = read_file(tmp_path / "my.jsonl").to_dict("records")
    assert row == {"task_id": "01", "prompt": "2024-01-01", "quality": 0.5}


def test_a_pickle_is_never_opened(tmp_path):
    (tmp_path / "my.pkl").write_bytes(b"not even a pickle")
    with pytest.raises(ImportedError, match="opening a pickle runs code"):
        read_file(tmp_path / "my.pkl")


def test_checked_rows_have_exactly_the_columns_and_other_columns_are_named():
    checked, remarks = check_rows(rows(2, note="x", answer=" yes ", dataset=" d "), MINE)
    assert list(checked) == list(COLUMNS)
    assert remarks == ["columns not used: note"]
    # an answer is kept as it is, a name is stripped
    assert set(checked["output"]) == {" yes "} and set(checked["dataset"]) == {"d"}


def test_signals_that_are_a_dictionary_become_json_and_splits_of_others_are_left_out():
    checked, remarks = check_rows(rows(1, split="train").assign(signals=[{"p_true": 0.5}, None]), MINE)
    assert checked["signals"].isna().tolist() == [False, True]
    assert checked["signals"][0] == '{"p_true": 0.5}'
    assert checked["split"].isna().all()
    assert remarks[0].startswith("column split not used: it does not hold this project's splits but train; map them")


def test_prompts_that_differ_between_models_are_counted():
    checked, _ = check_rows(rows(3).assign(prompt=["x", "y", "x", "x", "z", "w"]), MINE)
    assert check_tasks(checked, MINE) == ["2 tasks have prompts that differ between models: routers read the first"]
    assert check_tasks(checked.assign(prompt="x"), MINE) == []
