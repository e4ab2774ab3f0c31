"""A suite is built the same every time, with counts of what is not in it."""

import json

import pandas as pd
import pytest

from slm_orchestration.tasks.cards import cards
from slm_orchestration.tasks.dataset import Dataset
from slm_orchestration.tasks.forms import Free
from slm_orchestration.tasks.sources.local import LocalRows
from slm_orchestration.tasks.suite import COLUMNS, Suite, chosen, collect, overview, shared_groups

FORM = Free(scorer="exact", instruction="", question="{question}", reference="{answer}", reference_as="accepted")


def dataset(path, rows: list[dict], **more) -> Dataset:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = {"form": FORM, "max_tokens": 8, "licence": "MIT", "origin": "by hand", **more}
    return Dataset(source=LocalRows(str(path)), **more)


@pytest.fixture
def datasets(tmp_path):
    rows = [{"question": f"What is {number}?", "answer": str(number)} for number in range(300)]
    doubled = [*rows, rows[0], {"question": "What is 1?", "answer": "2"}, {"question": "no answer"}]
    return {
        ("d", "big"): dataset(tmp_path / "big.jsonl", doubled, refused=1, core=True, note="Numbers."),
        ("d", "small"): dataset(
            tmp_path / "small.jsonl", [{"question": f"Say {n}", "answer": "x"} for n in range(60)], generated=True
        ),
    }


def test_a_suite_has_its_size_and_no_group_in_two_splits(datasets):
    collection = collect(datasets, skip_invalid=False)
    tasks = chosen(collection, datasets, Suite("s", 40, 20, None), None)
    assert len(tasks) == 40 and shared_groups(tasks) == []
    assert tasks == chosen(collect(datasets, skip_invalid=False), datasets, Suite("s", 40, 20, None), None)


def test_what_is_left_out_is_counted(datasets):
    collection = collect(datasets, skip_invalid=False)
    tasks = chosen(collection, datasets, Suite("s", None, 20, None), None)
    big = overview(collection, datasets, tasks).set_index("dataset").loc["big"]
    # 303 rows: one cannot be read, one is there twice, and one question has two answers.
    assert (big["refused"], big["repeated"], big["contradictory"]) == (1, 1, 2)
    assert big["tasks"] == big["fit"] + big["calibration"] + big["evaluation"] <= 299


def test_more_refusals_than_known_stop_the_build_unless_they_are_skipped(datasets, tmp_path):
    datasets["d", "small"] = dataset(tmp_path / "small.jsonl", [{"question": "a", "answer": "b"}, {"answer": "c"}])
    with pytest.raises(
        ValueError, match=r"dataset small: 1 rows are no tasks, 0 are known; first small.jsonl:2: the row has no"
    ):
        collect(datasets, skip_invalid=False)
    assert len(collect(datasets, skip_invalid=True).refused["d", "small"]) == 1


def test_an_unknown_scorer_stops_the_build(datasets, tmp_path):
    wrong = Free(scorer="exactly", instruction="", question="{question}", reference="{answer}")
    datasets["d", "small"] = dataset(tmp_path / "small.jsonl", [], form=wrong)
    with pytest.raises(ValueError, match="no scorer 'exactly'; there are choice"):
        collect(datasets, skip_invalid=False)


def test_prompts_beyond_the_suites_length_are_left_to_larger_suites(datasets):
    collection = collect(datasets, skip_invalid=False)
    tasks = chosen(collection, datasets, Suite("s", None, 20, 8), None)
    assert {task.dataset for task in tasks} == {"small"}


def test_a_dataset_that_the_pilot_rejects_is_left_out_and_moves_no_task_to_another_split(datasets):
    collection = collect(datasets, skip_invalid=False)
    judged = pd.DataFrame(
        [["d", "big", 24, 0.0, 0.0, 0.138, 0.0, "rejected", 24], ["d", "small", 8, 0.1, 0.02, 0.5, 0.0, "above", 8]],
        columns=COLUMNS,
    )
    every, kept = (chosen(collection, datasets, Suite("s", None, 20, None), one) for one in (None, judged))
    assert kept == [task for task in every if task.dataset == "small"] != []


def test_a_pilot_asks_rejected_datasets_too_and_as_many_tasks_as_are_wanted(datasets):
    collection = collect(datasets, skip_invalid=False)
    judged = pd.DataFrame([["d", "big", 3, 0.0, 0.0, 0.5, 0.0, "rejected", 5]], columns=COLUMNS)
    tasks = chosen(collection, datasets, Suite("s", None, 20, None, pilot_per_dataset=2), judged)
    assert [sum(task.dataset == name for task in tasks) for name in ("big", "small")] == [5, 2]
    assert {task.split for task in tasks} == {"pilot"}


def test_cards_name_origin_licence_size_scorer_and_a_command(datasets):
    rows = [["d", "gone", 24, 0.0, 0.0, 0.1380, 0.0, "rejected", 24]]
    text = cards(collect(datasets, skip_invalid=False), datasets, pd.DataFrame(rows, columns=COLUMNS))
    assert "## d\n\n359 tasks, 60 of them generated." in text
    assert "| big | 299 | exact | by hand | MIT | `show=d/big/00000` |" in text
    assert "- big: Numbers." in text
    assert "| d | gone | 24 | 0.00 | 0.00 to 0.14 | 0.00 | rejected |" in text
