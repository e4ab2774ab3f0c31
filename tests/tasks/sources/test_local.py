import pytest

from slm_orchestration.tasks.dataset import RefusedRow
from slm_orchestration.tasks.forms import Choice
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.sources.local import HubRows, LocalRows
from tests.tasks.by_hand import ROWS, tasks_of, write_rows
from tests.tasks.reference_answers import right_answer


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_a_file_of_ones_own_becomes_tasks(tmp_path, ending):
    tasks = [draft.task for draft in tasks_of(LocalRows(write_rows(tmp_path, ending, ROWS)))]
    assert [task.task_id for task in tasks] == ["d/s/00000", "d/s/00001"]
    assert [task.question for task in tasks] == ["Capital of France?", "2 + 2?"]
    assert [score(task, right_answer(task)) for task in tasks] == [1, 1]


def test_a_short_row_of_a_table_is_refused(tmp_path):
    (tmp_path / "mine.csv").write_text("question,answer\nWho?\nWhat?,this\n")
    refused, kept = tasks_of(LocalRows(str(tmp_path / "mine.csv")))
    assert refused == RefusedRow("mine.csv:2", "the row has more or fewer cells than the header")
    assert kept.task.question == "What?"


def test_a_missing_file_and_an_unknown_extension_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.jsonl: no such file"):
        list(LocalRows(str(tmp_path / "none.jsonl")).rows())
    with pytest.raises(ValueError, match="unknown file extension"):
        list(LocalRows(str(tmp_path / "mine.txt")).rows())


def test_rows_of_the_datasets_library_become_tasks(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [{"question": "Which is red?", "choices": ["sky", "blood"], "answer": 1}]
    datasets.DatasetDict({"test": datasets.Dataset.from_list(rows)}).save_to_disk(str(tmp_path / "saved"))
    form = Choice(question="{question}", answer="{answer}", options_field="choices", answer_is="number")
    (draft,) = tasks_of(HubRows(str(tmp_path / "saved"), "test"), form)
    assert f"{draft.task.reference}. blood" in draft.task.question


def test_a_dataset_of_the_hub_needs_a_pinned_revision():
    with pytest.raises(ValueError, match="openai/gsm8k: a hub dataset needs a pinned `revision`"):
        list(HubRows("openai/gsm8k", "test", "main").rows())
