import pandas as pd
import pytest

from slm_orchestration.outcomes.audit import Agreement, agreement, agreement_of_recordings, detection_probability

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


def test_two_recordings_are_compared_on_the_tasks_that_both_answered_by_kind_of_answer():
    first = RECORDED.assign(model="m", finish_reason=["choice", "choice", "stop", "stop"])
    second = first.iloc[1:].assign(answer=["B", "7", "9"], quality=[0.0, 1.0, 1.0])
    found = agreement_of_recordings(first, second).set_index("answers")
    assert found["tasks"].to_dict() == {"all": 3, "choice": 1, "free": 2}
    assert found.loc["free", ["same_answer", "same_quality", "quality", "other_quality"]].tolist() == [0.5, 0.5, 0.5, 1]
    assert found.loc["choice", "same_quality"] == 1
    with pytest.raises(ValueError, match="share no task that m answered"):
        agreement_of_recordings(first, second.assign(task_id=list("xyz")))


def test_an_audit_allows_what_chance_explains_and_no_more():
    # Where 97 of 100 agree, 3 misses in 20 have a chance of 2 %, 10 in 20 none.
    assert Agreement(20, 1.0, 17 / 20, 0.0, 1.0).chance(0.97) == pytest.approx(0.0210, abs=5e-4)
    assert Agreement(20, 1.0, 10 / 20, 0.0, 1.0).chance(0.97) < 1e-9
