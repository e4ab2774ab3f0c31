"""Each scorer gives 1 to what is right, 0 to what is wrong, and neither hangs nor crashes on hostile answers."""

import json
import time

import pytest

from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task


def task(scorer: str, reference: object, choices: list[str] | None = None) -> Task:
    text = reference if isinstance(reference, str) else json.dumps(reference)
    return Task("d/s/1", "d", "s", "g", "fit", "q", [{"role": "user", "content": "q"}], choices, text, scorer, 16)


LETTERS = ["A", "B", "C"]
QUERY = (
    "SELECT T1.name FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer WHERE T2.year > 2000 AND T1.land = 'France'"
)


def offered(name: str, required: list[str], **types: str) -> dict:
    return {
        "name": name,
        "parameters": {"required": required, "properties": {key: {"type": kind} for key, kind in types.items()}},
    }


CALLS = {
    "functions": [
        offered("f", ["a"], a="integer", b="float", c="string"),
        {
            "name": "g.h",
            "parameters": {"required": ["d"], "properties": {"d": {"type": "array", "items": {"type": "string"}}}},
        },
    ],
    "calls": [{"f": {"a": [1, 2], "b": ["", 2.0], "c": ["New York", ""]}}, {"g.h": {"d": [["x", "y"], ""]}}],
}


@pytest.mark.parametrize(
    ("graded", "answer", "quality"),
    [
        (task("choice", "B", LETTERS), "B", 1),
        (task("choice", "B", LETTERS), " b. because it is", 1),
        (task("choice", "B", LETTERS), "Answer: (B)", 1),
        (task("choice", "B", LETTERS), "A", 0),
        (task("choice", "A", LETTERS), "An apple", 0),
        (task("choice", "Yes", ["Yes", "No"]), "yes", 1),
        (task("choice", "No", ["Yes", "No"]), "Not sure", 0),
        (task("exact", ["green drawer"]), "Answer: the Green  Drawer.", 1),
        (task("exact", ["Thursday, July 12, 1945."]), "Thursday, July 12, 1945", 1),
        (task("exact", ["7", "seven"]), "seven", 1),
        (task("exact", ["7"]), "17", 0),
        (task("numeric", "1200"), "Answer: $1,200.00", 1),
        (task("numeric", "1200"), "1,20", 0),
        (task("numeric", "-3"), "x = −3 cm", 1),
        (task("numeric", "0.75"), "3/4", 1),
        (task("numeric", "1.5"), "1 1/2", 1),
        (task("numeric", "0.1111"), "1/9", 1),
        (task("numeric", "0.1111"), "0.112", 0),
        (task("numeric", "0.11"), "0.114", 1),
        (task("numeric", "0.11"), "0.118", 0),
        (task("numeric", "1500"), "1.5e3", 1),
        (task("numeric", "0.25"), "25%", 1),
        (task("numeric", "25"), "25 %", 1),
        (task("numeric", "12"), "5 + 7 = 12 apples", 1),
        (task("numeric", "12"), "12.5", 0),
        (task("numeric", "12"), "no idea", 0),
        (task("numeric", "50000000000"), "50000000000 ohms", 1),
        (task("set_f1", ["Bank - ORG", "Ann - PERSON"]), "[Ann - person, Bank - ORG]", 1),
        (task("set_f1", ["a", "b"]), "- a\n- c", 0.5),
        (task("set_f1", ["a", "a"]), "[a]", 2 / 3),
        (task("set_f1", ["No entities found"]), "No entities found.", 1),
        (task("list_equality", ["1", "-2"]), "x = [[1], [-2]]", 1),
        (task("list_equality", ["1", "-2"]), "[-2, 1]", 0),
        (task("token_f1", ["the red car"]), "Answer: a red car", 1),
        (task("token_f1", ["red car", "blue"]), "blue car", 2 / 3),
        (task("json_equality", '{"a": [1, 2.0], "b": null}'), '{"b": null, "a": [1.0, 2]}', 1),
        (task("json_equality", '{"a": 1}'), '{"a": true}', 0),
        (task("json_equality", '{"a": 1}'), '{"a": "1"}', 0),
        (task("json_equality", "[1, 2]"), "[2, 1]", 0),
        (task("code_text", "a\n b\n"), "```\na  \n b\n```", 1),
        (task("code_text", "a\n b\n"), "```\na\nb\n```", 0),
        (task("sql", QUERY), QUERY.replace("T1", "s").replace("T2", "t"), 1),
        (
            task("sql", QUERY),
            'select singer.name from song inner join singer on song.singer = singer.id where singer.land = "France" '
            "and song.year > 2000;",
            1,
        ),
        (task("sql", QUERY), QUERY.replace("T1.name", "T2.name"), 0),
        (task("sql", QUERY), QUERY.replace(">", ">="), 0),
        (task("sql", "SELECT a FROM t ORDER BY b"), "SELECT a FROM t ORDER BY b ASC", 1),
        (task("sql", "SELECT a FROM t ORDER BY b"), "SELECT a FROM t ORDER BY b DESC", 0),
        (task("sql", "SELECT a FROM t"), "DROP TABLE t", 0),
    ],
)
def test_answers_get_the_quality_they_deserve(graded, answer, quality):
    assert score(graded, answer) == pytest.approx(quality)


@pytest.mark.parametrize(
    ("answer", "quality"),
    [
        ('[f(a=1), g.h(d=["x", "y"])]', 1),
        ('[g.h(d=["X", "y "]), f(a=2, b=2, c="new york.")]', 1),
        ('```python\nf(a=1)\ng.h(d=["x", "y"])\n```', 1),
        ('[f(a=1.0), g.h(d=["x", "y"])]', 0),
        ('[f(a=True), g.h(d=["x", "y"])]', 0),
        ('[f(a=3), g.h(d=["x", "y"])]', 0),
        ('[f(b=2.0), g.h(d=["x", "y"])]', 0),
        ('[f(1), g.h(d=["x", "y"])]', 0),
        ('[f(a=1, e=1), g.h(d=["x", "y"])]', 0),
        ('[f(a=1), g.h(d=["y", "x"])]', 0),
        ('[f(a=1), g.h(d=["x", 1])]', 0),
        ("[f(a=1), g.h()]", 0),
        ("[f(a=1)]", 0),
        ('[f(a=1), f(a=1), g.h(d=["x", "y"])]', 0),
        ("I would call f and then g.h.", 0),
    ],
)
def test_calls_follow_the_leaderboards_rules(answer, quality):
    assert score(task("function_call", CALLS), answer) == quality


@pytest.mark.parametrize(("answer", "quality"), [("[]", 1), ("None fits.", 1), ("f(a=1)", 0), ("[f(a=1)]", 0)])
def test_where_no_call_is_expected_any_call_is_wrong(answer, quality):
    assert score(task("function_call", {**CALLS, "calls": []}), answer) == quality


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
    task("choice", "B", LETTERS),
    task("exact", ["x y"]),
    task("numeric", "12"),
    task("set_f1", ["x y"]),
    task("list_equality", ["x y"]),
    task("token_f1", ["seven"]),
    task("json_equality", "[7]"),
    task("code_text", "x y"),
    task("sql", "SELECT a FROM t"),
    task("function_call", CALLS),
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("graded", GRADED, ids=lambda graded: graded.scorer)
def test_a_hostile_answer_is_wrong_within_two_seconds(graded, name):
    started = time.process_time()
    assert score(graded, HOSTILE[name]) == 0
    assert time.process_time() - started < 2


def test_an_unknown_scorer_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="no scorer 'exakt'; there are choice, code_text, exact, function_call"):
        score(task("exakt", "x"), "x")


def test_a_scorer_may_be_a_users_own_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("")
    (tmp_path / "mine" / "scorer.py").write_text("def score(task, answer):\n    return 0.25\n")
    assert score(task("mine.scorer", "x"), "x") == 0.25


def test_a_quality_outside_its_range_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "wild").mkdir()
    (tmp_path / "wild" / "__init__.py").write_text("")
    (tmp_path / "wild" / "scorer.py").write_text("def score(task, answer):\n    return 1.5\n")
    with pytest.raises(ValueError, match=r"returned 1.5, which is not in \[0, 1\]"):
        score(task("wild.scorer", "x"), "x")
