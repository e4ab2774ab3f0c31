import pytest

from slm_orchestration.tasks.scoring import score
from tests.tasks.by_hand import graded_task


@pytest.mark.parametrize(
    ("reference", "answer", "quality"),
    [
        (["1", "-2"], "x = [[1], [-2]]", 1),
        (["1", "-2"], "[-2, 1]", 0),
    ],
)
def test_a_list_is_right_if_its_items_are_equal_in_order(reference, answer, quality):
    assert score(graded_task("list_equality", reference), answer) == quality
