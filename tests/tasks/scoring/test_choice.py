import pytest

from slm_orchestration.tasks.scoring import score
from tests.tasks.by_hand import graded_task

LETTERS = ["A", "B", "C"]


@pytest.mark.parametrize(
    ("reference", "choices", "answer", "quality"),
    [
        ("B", LETTERS, "B", 1),
        ("B", LETTERS, " b. because it is", 1),
        ("B", LETTERS, "Answer: (B)", 1),
        ("B", LETTERS, "A", 0),
        ("A", LETTERS, "An apple", 0),
        ("Yes", ["Yes", "No"], "yes", 1),
        ("No", ["Yes", "No"], "Not sure", 0),
    ],
)
def test_a_choice_is_right_if_the_final_answer_is_or_starts_with_the_label(reference, choices, answer, quality):
    assert score(graded_task("choice", reference, choices), answer) == quality
