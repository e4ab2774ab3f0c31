import pytest

from slm_orchestration.tasks.scoring import score
from tests.tasks.by_hand import graded_task


@pytest.mark.parametrize(
    ("reference", "answer", "quality"),
    [
        ("1200", "Answer: $1,200.00", 1),
        ("1200", "1,20", 0),
        ("-3", "x = −3 cm", 1),
        ("0.75", "3/4", 1),
        ("1.5", "1 1/2", 1),
        ("0.1111", "1/9", 1),
        ("0.1111", "0.112", 0),
        ("0.11", "0.114", 1),
        ("0.11", "0.118", 0),
        ("1500", "1.5e3", 1),
        ("0.25", "25%", 1),
        ("25", "25 %", 1),
        ("12", "5 + 7 = 12 apples", 1),
        ("12", "12.5", 0),
        ("12", "no idea", 0),
        ("50000000000", "50000000000 ohms", 1),
    ],
)
def test_a_number_is_right_if_it_rounds_to_the_reference(reference, answer, quality):
    assert score(graded_task("numeric", reference), answer) == quality
