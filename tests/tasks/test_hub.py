"""Datasets of the hub become tasks as conf/domain/hub.yaml says: tried on rows of their shape that `datasets` saved."""

import json
from dataclasses import replace

import pytest

from experiments.prepare import configured
from experiments.setup.config import load_config
from slm_orchestration.tasks.dataset import DraftTask, read_dataset
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.sources.local import HubRows
from tests.tasks.reference_answers import right_answer

datasets = pytest.importorskip("datasets")
HUB = configured(load_config("domain=[hub]", config="prepare"))
ROWS = {
    "gsm8k": {"question": "Ann has 3 pens and buys 2. How many?", "answer": "3 + 2 = <<3+2=5>>5\n#### 5"},
    "mmlu_full": {"question": "Largest?", "choices": ["3", "1", "2", "0"], "answer": 0, "subject": "s"},
    "mmlu_pro": {"question": "Largest?", "options": ["1", "2", "3"], "answer": "C", "answer_index": 2, "category": "c"},
    "arc_challenge": {"question": "Red?", "choices": {"text": ["sky", "blood"], "label": ["1", "2"]}, "answerKey": "2"},
    "hellaswag": {"ctx": "He sits", "ctx_a": "He", "endings": ["down.", "red.", "up to.", "no."], "label": "0"},
    "boolq": {"question": "is snow white", "passage": "Snow is white.", "answer": True},
    "squad": {
        "context": "Ann lives in Bonn.",
        "question": "Where does Ann live?",
        "answers": {"text": ["Bonn", "in Bonn"], "answer_start": [13, 10]},
    },
    "mbpp": {
        "text": "Write a function that doubles.",
        "test_list": ["assert double(1) == 2", "assert double(0) == 0", "assert double(2) == 4"],
    },
    "ifeval": {
        "prompt": "Name a colour in lower case, without a comma.",
        "instruction_id_list": ["punctuation:no_comma", "change_case:english_lowercase"],
        "kwargs": [{"num_words": None}, {"num_words": None}],
    },
}


def test_every_dataset_of_the_file_has_a_row_here_and_a_pinned_revision():
    assert {name for _, name in HUB} == set(ROWS)
    assert all(len(dataset.source.revision) == 40 for dataset in HUB.values())


@pytest.mark.parametrize("key", HUB, ids=lambda key: key[1])
def test_a_row_becomes_a_task_whose_reference_scores_one(key, tmp_path):
    datasets.Dataset.from_list([ROWS[key[1]]]).save_to_disk(str(tmp_path / "saved"))
    local = replace(HUB[key], source=HubRows(str(tmp_path / "saved"), HUB[key].source.split))
    (draft,) = read_dataset(*key, local)
    assert isinstance(draft, DraftTask), draft
    if draft.task.scorer == "unit_tests":
        assert json.loads(draft.task.reference)["entry_point"] == "double"
        assert json.loads(draft.task.reference)["test"].count("assert") == 3
    elif draft.task.scorer == "instructions":
        assert [score(draft.task, answer) for answer in ("red", "Red", "red, blue", "")] == [1, 0, 0, 0]
    else:
        assert score(draft.task, right_answer(draft.task)) == 1
        assert score(draft.task, "") == 0


def test_an_instruction_that_cannot_be_verified_here_refuses_its_row(tmp_path):
    row = ROWS["ifeval"] | {"instruction_id_list": ["punctuation:no_comma", "language:response_language"]}
    datasets.Dataset.from_list([row]).save_to_disk(str(tmp_path / "saved"))
    dataset = replace(HUB["structured_data", "ifeval"], source=HubRows(str(tmp_path / "saved"), "train"))
    (refused,) = read_dataset("structured_data", "ifeval", dataset)
    assert "response_language" in refused.reason
