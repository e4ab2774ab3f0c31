"""The model whose answers are given in advance."""

import pytest

from slm_orchestration.models.model import CallError
from slm_orchestration.models.scripted import ScriptedModel
from tests.serving.by_hand import task


def test_it_answers_from_its_mapping_and_else_by_default():
    model = ScriptedModel("small", answers={"one": "two words"}, default="no")
    known, other = model.complete([task("one"), task("two")], seed=0)
    assert (known.answer, known.completion_tokens, known.finish_reason) == ("two words", 2, "stop")
    assert (other.answer, other.completion_tokens) == ("no", 1)
    assert model.calls == [["one", "two"]]


def test_its_certainty_goes_to_the_answered_label_and_the_rest_is_shared():
    (choice,) = ScriptedModel("small", default="B", certainty=0.7).complete([task("one", list("ABCD"))], seed=0)
    assert choice.signals == pytest.approx(
        {"label:A": 0.1, "label:B": 0.7, "label:C": 0.1, "label:D": 0.1, "label_mass": 1.0}
    )
    assert (choice.finish_reason, choice.completion_tokens) == ("choice", 1)


def test_a_task_fails_as_often_as_it_is_listed_and_then_succeeds():
    model = ScriptedModel("small", default="yes", fails_on=["one", "one"])
    for _ in range(2):
        with pytest.raises(CallError, match="one: scripted to fail"):
            model.complete([task("one")], seed=0)
    assert model.complete([task("one")], seed=0)[0].answer == "yes"


def test_a_batch_with_a_failing_task_fails_whole_and_uses_up_no_failure():
    model = ScriptedModel("small", fails_on=["one"])
    for tasks in ([task("two"), task("one")], [task("two"), task("one")], [task("one")]):
        with pytest.raises(CallError):
            model.complete(tasks, seed=0)
    assert len(model.complete([task("two"), task("one")], seed=0)) == 2


def test_a_dead_model_never_succeeds():
    model = ScriptedModel("small", fails_on=["one"], fails_always=True)
    for _ in range(3):
        with pytest.raises(CallError):
            model.complete([task("one")], seed=0)


def test_prompt_lengths_are_words():
    assert ScriptedModel("small").prompt_lengths([task("is it so"), task("one")]) == [3, 1]
