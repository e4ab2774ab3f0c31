import pytest

from slm_orchestration.tasks.scoring import score
from tests.tasks.by_hand import graded_task


@pytest.mark.parametrize(
    ("reference", "answer", "quality"),
    [
        (["the red car"], "Answer: a red car", 1),
        (["red car", "blue"], "blue car", 2 / 3),
    ],
)
def test_words_are_graded_by_their_f1_against_the_best_accepted_answer(reference, answer, quality):
    assert score(graded_task("token_f1", reference), answer) == pytest.approx(quality)
