"""Rows that cannot become tasks are refused with their place and reason."""

import json

import pytest

from slm_orchestration.tasks.dataset import DraftTask, RefusedRow
from slm_orchestration.tasks.sources.local import LocalRows
from tests.tasks.by_hand import ROWS, tasks_of, write_rows


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"question": "Who?"', "not valid JSON"),
        ('["a list"]', "expected a JSON object, found list"),
        ('{"question": "Who?"}', "the row has no field 'answer'"),
        ('{"question": "Who?", "answer": null}', "field 'answer' is null"),
        ('{"question": NaN, "answer": "x"}', "field 'question' is null"),
        ('{"question": "", "answer": "x"}', "is empty"),
        (json.dumps({"question": "long " * 5_000, "answer": "x"}), "the prompt has 25008 characters; at most 12000"),
        (json.dumps({"question": "x" * 10_000_000, "answer": "x"}), "at most 5000000 are read"),
        ("[" * 100_000, "not valid JSON"),
        (r'{"question": "so \ud800", "answer": "x"}', "half of a surrogate pair (U+D800) after 'so ' is no text"),
        (r'{"question": "Who?", "answer": "\udfff"}', "half of a surrogate pair (U+DFFF)"),
    ],
)
def test_a_malformed_line_is_refused_with_its_place_and_reason(tmp_path, line, reason):
    path = tmp_path / "mine.jsonl"
    path.write_text(f"{json.dumps(ROWS[0])}\n{line}\n{json.dumps(ROWS[1])}\n")
    first, refused, last = tasks_of(LocalRows(str(path)))
    assert isinstance(first, DraftTask) and isinstance(last, DraftTask)
    assert isinstance(refused, RefusedRow) and refused.where == "mine.jsonl:2"
    assert reason in refused.reason


def test_a_row_whose_reference_is_known_to_be_wrong_is_refused(tmp_path):
    kept, refused = tasks_of(LocalRows(write_rows(tmp_path, ".jsonl", ROWS)), wrong=[1])
    assert isinstance(kept, DraftTask)
    assert refused == RefusedRow("mine.jsonl:2", "its reference is known to be wrong")


def test_a_limit_keeps_the_same_rows_whatever_their_number(tmp_path):
    rows = [{"question": f"Number {number}?", "answer": "x"} for number in range(40)]
    few, more = (
        [draft.task.task_id for draft in tasks_of(LocalRows(write_rows(tmp_path, ".jsonl", rows)), limit=limit)]
        for limit in (5, 10)
    )
    assert len(few) == 5 and set(few) < set(more) and few == sorted(few)
