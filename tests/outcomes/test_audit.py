import pandas as pd
import pytest

from slm_orchestration.outcomes.audit import agreement, detection_probability

RECORDED = pd.DataFrame({"task_id": list("abcd"), "answer": ["A", "B", "7", "8"], "quality": [1.0, 0.0, 1.0, 0.0]})


def test_the_same_answers_agree_wholly():
    found = agreement(RECORDED, RECORDED)
    assert (found.same_answer, found.same_quality, found.high) == (1.0, 1.0, 1.0)


def test_another_answer_of_the_same_quality_is_another_answer_only():
    found = agreement(RECORDED, RECORDED.assign(answer=["A", "C", "7", "9"]))
    assert (found.same_answer, found.same_quality) == (0.5, 1.0)


def test_a_forged_quality_is_seen():
    found = agreement(RECORDED.assign(quality=[1.0, 1.0, 1.0, 1.0]), RECORDED)
    assert (found.same_answer, found.same_quality) == (1.0, 0.5)


def test_other_tasks_are_refused():
    with pytest.raises(ValueError, match="same tasks in the same order"):
        agreement(RECORDED, RECORDED.iloc[::-1])


def test_the_chance_to_meet_a_forged_row_is_counted_exactly():
    # Of the ten pairs out of five rows, the six among the four honest ones miss the forged row.
    assert detection_probability(rows=5, forged=1, sampled=2) == pytest.approx(4 / 10)
    assert detection_probability(rows=200, forged=2, sampled=200) == 1.0
