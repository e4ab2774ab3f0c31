import pytest

from slm_orchestration.tasks.scoring import score
from tests.tasks.by_hand import graded_task


@pytest.mark.parametrize(
    ("reference", "answer", "quality"),
    [
        ("a\n b\n", "```\na  \n b\n```", 1),
        ("a\n b\n", "```\na\nb\n```", 0),
    ],
)
def test_code_text_is_right_if_its_lines_are_equal(reference, answer, quality):
    assert score(graded_task("code_text", reference), answer) == quality
