import pytest

from slm_orchestration.tasks.scoring import score
from tests.tasks.by_hand import graded_task


@pytest.mark.parametrize(
    ("reference", "answer", "quality"),
    [
        (["green drawer"], "Answer: the Green  Drawer.", 1),
        (["Thursday, July 12, 1945."], "Thursday, July 12, 1945", 1),
        (["7", "seven"], "seven", 1),
        (["7"], "17", 0),
    ],
)
def test_text_is_right_if_it_equals_an_accepted_answer_after_normalisation(reference, answer, quality):
    assert score(graded_task("exact", reference), answer) == quality
