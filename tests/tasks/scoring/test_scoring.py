"""Grading neither hangs nor crashes on hostile answers, and an unknown scorer is named."""

import pkgutil
import time

import pytest

from slm_orchestration.tasks import scoring
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
    "joins": "SELECT * FROM a" + " JOIN a" * 20,
    "joins in brackets": "SELECT * FROM " + "(a JOIN " * 39 + "a" + ")" * 39,
    "cases": "SELECT " + "CASE WHEN " * 300,
    "a hexadecimal number": f"[f(a=1, b=0x{'F' * 257}), g.h(d=['x', 'y'])]",
    "a chain of numbers": "1e999 " * 8_000,
    "opening marks": "<<" * 24_000,
    "line breaks": "\n" * 49_000,
    "bullets": "\n *" * 16_000,
    "stars": "*" * 49_000,
}
# IFEval's kinds that search the answer, each with parameters that no hostile answer fulfils.
INSTRUCTIONS = {
    "keywords:existence": {"keywords": ["café"]},
    "length_constraints:number_words": {"relation": "at least", "num_words": 10**6},
    "length_constraints:number_paragraphs": {"num_paragraphs": 10**6},
    "detectable_content:number_placeholders": {"num_placeholders": 10**6},
    "detectable_content:postscript": {"postscript_marker": "P.P.S"},
    "detectable_format:number_bullet_lists": {"num_bullets": 10**6},
    "detectable_format:number_highlighted_sections": {"num_highlights": 10**6},
    "detectable_format:multiple_sections": {"section_spliter": "Section", "num_sections": 10**6},
    "detectable_format:title": {},
    "combination:two_responses": {},
}
PUZZLE = {"generator": "basic_arithmetic", "settings": {}, "size": 3, "seed": 1, "index": 0}
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
    graded_task("verifier", PUZZLE),
    *(
        graded_task("instructions", {"prompt": "", "instruction_id_list": [kind], "kwargs": [parameters]})
        for kind, parameters in INSTRUCTIONS.items()
    ),
]


@pytest.mark.parametrize("graded", GRADED, ids=lambda graded: f"{graded.scorer} {graded.reference[:60]}")
def test_every_hostile_answer_is_wrong_within_two_seconds(graded):
    for name, answer in HOSTILE.items():
        started = time.process_time()
        assert score(graded, answer) == 0, name
        assert time.process_time() - started < 2, name


def test_every_scorer_is_tried_with_hostile_answers():
    tried = {graded.scorer for graded in GRADED} | {"unit_tests"}  # whose hostile answers are the sandbox's tests
    assert tried == {module.name for module in pkgutil.iter_modules(scoring.__path__)} - set(scoring._NO_SCORERS)


@pytest.mark.parametrize("deep", ["[" * 20_000, '{"a":' * 20_000, "[" * 20_000 + "]" * 20_000])
def test_json_that_is_nested_too_deeply_is_not_json(deep):
    reference = {"prompt": "", "instruction_id_list": ["detectable_format:json_format"], "kwargs": [{}]}
    assert score(graded_task("instructions", reference), deep) == 0


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
