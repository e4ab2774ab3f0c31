import pytest

from slm_orchestration.tasks.scoring import score
from tests.tasks.by_hand import graded_task


@pytest.mark.parametrize(
    ("reference", "answer", "quality"),
    [
        (["Bank - ORG", "Ann - PERSON"], "[Ann - person, Bank - ORG]", 1),
        (["a", "b"], "- a\n- c", 0.5),
        (["a", "a"], "[a]", 2 / 3),
        (["No entities found"], "No entities found.", 1),
    ],
)
def test_items_are_graded_by_their_f1_in_any_order(reference, answer, quality):
    assert score(graded_task("set_f1", reference), answer) == pytest.approx(quality)
