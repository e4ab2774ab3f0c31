import pytest

from slm_orchestration.tasks.scoring import score
from tests.tasks.by_hand import graded_task


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
    assert score(graded_task("function_call", CALLS), answer) == quality


@pytest.mark.parametrize(("answer", "quality"), [("[]", 1), ("None fits.", 1), ("f(a=1)", 0), ("[f(a=1)]", 0)])
def test_where_no_call_is_expected_any_call_is_wrong(answer, quality):
    assert score(graded_task("function_call", {**CALLS, "calls": []}), answer) == quality
