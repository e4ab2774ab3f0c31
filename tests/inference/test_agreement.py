import pandas as pd
import pytest

from slm_orchestration.inference.agreement import agreement

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
