import json
import zipfile

import pytest

from slm_orchestration.artifacts import Wheel
from slm_orchestration.tasks.sources import wheels
from slm_orchestration.tasks.sources.bfcl import BfclLines

WHEEL = Wheel("bfcl-eval", "1.0", "0" * 64)
FUNCTION = {"name": "f", "parameters": {"required": ["a"], "properties": {"a": {"type": "integer"}}}}


@pytest.fixture
def rows_of(tmp_path, monkeypatch):
    """Return the rows of one category from its questions and accepted calls."""

    def rows(questions: list[dict], answers: list[dict]) -> list:
        with zipfile.ZipFile(tmp_path / "bfcl.whl", "w") as archive:
            for folder, lines in (("", questions), ("possible_answer/", answers)):
                text = "\n".join(json.dumps(line) for line in lines)
                archive.writestr(f"bfcl_eval/data/{folder}BFCL_v4_simple.json", text)
        monkeypatch.setattr(wheels, "fetch_wheel", lambda wheel: tmp_path / "bfcl.whl")
        return list(BfclLines(WHEEL, "simple").rows())

    return rows


def asked(name: str, turns: int = 1) -> dict:
    return {"id": name, "question": [[{"role": "user", "content": "Call f."}]] * turns, "function": [FUNCTION]}


def test_a_row_has_the_question_the_functions_and_the_accepted_calls(rows_of):
    (row,) = rows_of([asked("1")], [{"id": "1", "ground_truth": [{"f": {"a": [1]}}]}])
    assert row.error is None and row.fields["question"] == "Call f."
    assert json.loads(row.fields["functions"]) == FUNCTION
    assert json.loads(row.fields["expected"]) == {"functions": [FUNCTION], "calls": [{"f": {"a": [1]}}]}


@pytest.mark.parametrize(
    ("call", "turns", "reason"),
    [
        ({"g": {"a": [1]}}, 1, "the expected function 'g' is not offered"),
        ({"f": {"a": [""]}}, 1, "the required parameter 'a' of 'f' has no accepted value"),
        ({"f": {"a": [1], "b": [2]}}, 1, "the expected parameter 'b' of 'f' is not in its description"),
        ({"f": {"a": [1]}}, 2, "a conversation of 2 turns"),
    ],
)
def test_a_row_that_no_call_can_answer_has_an_error(rows_of, call, turns, reason):
    (row,) = rows_of([asked("1", turns)], [{"id": "1", "ground_truth": [call]}])
    assert reason in str(row.error)


def test_a_row_without_accepted_answers_has_an_error(rows_of):
    (row,) = rows_of([asked("2")], [{"id": "1", "ground_truth": []}])
    assert "no '2' in the row or the accepted answers" in str(row.error)
