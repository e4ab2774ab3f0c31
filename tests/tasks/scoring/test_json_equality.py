import pytest

from slm_orchestration.tasks.scoring import score
from tests.tasks.by_hand import graded_task


@pytest.mark.parametrize(
    ("reference", "answer", "quality"),
    [
        ('{"a": [1, 2.0], "b": null}', '{"b": null, "a": [1.0, 2]}', 1),
        ('{"a": 1}', '{"a": true}', 0),
        ('{"a": 1}', '{"a": "1"}', 0),
        ("[1, 2]", "[2, 1]", 0),
    ],
)
def test_json_is_right_if_its_value_is_equal(reference, answer, quality):
    assert score(graded_task("json_equality", reference), answer) == quality
