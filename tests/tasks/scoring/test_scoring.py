"""Grading neither hangs nor crashes on hostile answers, and an unknown scorer is named."""

import time

import pytest

from slm_orchestration.tasks.scoring import score
from tests.tasks.by_hand import graded_task
from tests.tasks.scoring.test_function_call import CALLS

HOSTILE = {
    "a megabyte": "9" * 1_000_000,
    "digits": "9" * 49_000,
    "slashes": "1/" * 20_000,
    "brackets": "[" * 49_000,
    "closed brackets": "[" * 20_000 + "]" * 20_000,
    "objects": '{"a":' * 9_000,
    "parentheses": "f(" * 20_000,
    "signs": "f(a=" + "-" * 40_000 + "1)",
    "not a number": "NaN",
    "an infinity": "Answer: 1e999",
    "powers": "f(a=9**9**9**9)",
    "spaces": "Answer:" + " " * 45_000 + "x",
    "markers": "Answer: " * 6_000,
    "boxes": "\\boxed{" * 7_000,
    "fences": "```\n" * 12_000,
    "commas": "1," * 24_000,
    "nots": "SELECT " + "NOT " * 12_000 + "1",
    "null characters": "\x00" * 1_000,
    "half a character": "\ud800",
    "selects": "SELECT * FROM (" * 3_000,
    "additions": "SELECT " + "1+" * 1_900 + "1",
}
GRADED = [
    graded_task("choice", "B", ["A", "B", "C"]),
    graded_task("exact", ["x y"]),
    graded_task("numeric", "12"),
    graded_task("set_f1", ["x y"]),
    graded_task("list_equality", ["x y"]),
    graded_task("token_f1", ["seven"]),
    graded_task("json_equality", "[7]"),
    graded_task("code_text", "x y"),
    graded_task("sql", "SELECT a FROM t"),
    graded_task("function_call", CALLS),
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("graded", GRADED, ids=lambda graded: graded.scorer)
def test_a_hostile_answer_is_wrong_within_two_seconds(graded, name):
    started = time.process_time()
    assert score(graded, HOSTILE[name]) == 0
    assert time.process_time() - started < 2


def test_an_unknown_scorer_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="no scorer 'exakt'; known are choice, code_text, exact, function_call"):
        score(graded_task("exakt", "x"), "x")


def test_a_scorer_may_be_a_users_own_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("")
    (tmp_path / "mine" / "scorer.py").write_text("def score(task, answer):\n    return 0.25\n")
    assert score(graded_task("mine.scorer", "x"), "x") == 0.25


def test_a_quality_outside_its_range_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "wild").mkdir()
    (tmp_path / "wild" / "__init__.py").write_text("")
    (tmp_path / "wild" / "scorer.py").write_text("def score(task, answer):\n    return 1.5\n")
    with pytest.raises(ValueError, match=r"returned 1.5, which is not in \[0, 1\]"):
        score(graded_task("wild.scorer", "x"), "x")
