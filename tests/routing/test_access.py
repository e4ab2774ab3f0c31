"""A router sees what it declares and what was paid, and nothing else."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from slm_orchestration.routing.access import guarded, missing_inputs, side_table_keys
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from tests.routing.tables_by_hand import matrix

OUTCOMES = matrix([[1, 1, 1], [0, 1, 1], [0, 0, 1]], confidence=[[0.9, 0.9, 0.9], [0.2, 0.8, 0.9], [0.2, 0.3, 0.9]])


@dataclass
class Spy:
    """Calls `look` on all that it is handed and predicts 0.5."""

    look: object
    reads: frozenset = frozenset({"prompt", "answer:small"})

    def fit(self, outcomes):
        return self

    def predict_quality(self, prompts, answers):
        self.look(prompts, answers)
        return np.full((len(prompts), 3), 0.5)


@pytest.mark.parametrize(
    "column", ["task_id", "domain", "dataset", "group", "split", "quality", "cost_usd", "latency_s", "guess_quality"]
)
def test_a_router_that_looks_for_what_it_must_not_see_is_refused(column):
    for frame in (0, 1):
        with pytest.raises(KeyError):
            guarded(Spy(lambda *frames, frame=frame: frames[frame][column]), OUTCOMES)((0,))


def test_before_the_first_call_there_are_no_answers():
    guarded(Spy(lambda prompts, answers: pytest.fail() if len(answers) else None), OUTCOMES)(())


def test_an_answer_that_was_paid_but_not_declared_is_not_handed_over():
    seen = []
    guarded(Spy(lambda prompts, answers: seen.append(set(answers["model"]))), OUTCOMES)((0, 1))
    assert seen == [{"small"}]


def test_the_prompt_is_not_handed_to_a_router_that_does_not_declare_it():
    with pytest.raises(KeyError):
        guarded(Spy(lambda prompts, answers: prompts["prompt"], reads=frozenset({"answer:small"})), OUTCOMES)((0,))


@pytest.mark.parametrize("read", ["quality", "domain", "answer:gpt", "task_id", "answer:"])
def test_a_read_that_does_not_exist_is_refused(read):
    with pytest.raises(ValueError, match="may not read"):
        guarded(Spy(lambda *_: None, reads=frozenset({read})), OUTCOMES)


def test_a_router_cannot_change_what_others_see():
    def vandalise(prompts, answers):
        prompts["prompt"] = "changed"
        answers["confidence"] = 1.0

    guarded(Spy(vandalise), OUTCOMES)((0,))
    assert OUTCOMES.tasks["question"][0] == "question 0"
    assert OUTCOMES.answers["confidence"][3] == 0.2


@pytest.mark.parametrize("predicted", [np.full((3, 2), 0.5), np.full((3, 3), 1.5), np.full((3, 3), np.nan)])
def test_predictions_of_the_wrong_shape_or_range_are_refused(predicted):
    router = Spy(lambda *_: None)
    router.predict_quality = lambda prompts, answers: predicted
    with pytest.raises(ValueError, match="must predict"):
        guarded(router, OUTCOMES)(())


@pytest.mark.parametrize("quality", [1.0001, -1e-6, float("nan")])
def test_a_prediction_outside_0_to_1_is_refused_before_it_is_put_on_the_grid(quality):
    router = Spy(lambda prompts, answers: None)
    router.predict_quality = lambda prompts, answers: np.full((len(prompts), 3), quality)
    with pytest.raises(ValueError, match=rf"Spy must predict tasks × models = \(3, 3\) in \[0, 1\], got {quality}$"):
        guarded(router, OUTCOMES)(())


@pytest.mark.parametrize(
    "read", ["state:*:5", "samples:small", "samples:small:x", "state:huge", "prompt:small", "tokens:small"]
)
def test_a_read_that_makes_no_sense_is_refused(read):
    router = dataclasses.make_dataclass("Odd", [("reads", frozenset)])(frozenset({read}))
    with pytest.raises(ValueError, match="may not read"):
        side_table_keys(router, ("small", "large"))


def test_a_router_that_reads_the_question_sees_nothing_else_of_the_request():
    outcomes = matrix([[0, 1]], questions=["Who?"])
    outcomes.tasks["request"], outcomes.tasks["system"], outcomes.tasks["earlier"] = (
        "Be brief.\n\nWho?",
        "Be brief.",
        "",
    )
    seen = {}

    class Looking:
        reads = frozenset({"prompt"})

        def predict_quality(self, prompts, answers):
            seen[prompts["prompt"].iloc[0]] = set(prompts.columns)
            return np.zeros((1, 2))

    for view in ("request", "question"):
        guarded(Looking(), outcomes.reading(view))(())
    assert seen == {
        "Be brief.\n\nWho?": {"prompt", "system", "earlier", "question"},
        "Who?": {"prompt", "question"},
    }


def test_an_answer_column_that_does_not_exist_is_named_with_those_that_do():
    router = dataclasses.make_dataclass("Odd", [("reads", frozenset), ("uses", frozenset)])
    strategy = RoutedStrategy("odd", router(frozenset({"answer:*"}), frozenset({"logprobs"})), Utility())
    with pytest.raises(ValueError, match=r"^Odd\.uses names 'logprobs'; the columns of answers are answer, confidence"):
        missing_inputs(strategy, OUTCOMES)
