import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slm_orchestration.routing import sweep
from slm_orchestration.routing.rules import Cascade, Terms, Utility

THRESHOLDS = np.linspace(0, 1, 11)
RELATIVE_COST = np.array([0.1, 0.3, 1.0])


def _choose(rule, quality, *, thresholds=THRESHOLDS, readable=frozenset()):
    predict = quality if callable(quality) else lambda called: np.array(quality, dtype=float)
    return sweep.choose(rule, predict, Terms(RELATIVE_COST, readable), np.array(thresholds))


def test_utility_at_threshold_0_takes_the_best_model_and_at_1_the_cheapest():
    choices = _choose(Utility(), [[0.2, 0.9, 0.5]], thresholds=[0.0, 1.0])
    assert choices.served.tolist() == [[1], [0]]
    assert choices.called.sum(axis=2).tolist() == [[1], [1]]


def test_utility_ties_go_to_the_cheaper_model():
    assert _choose(Utility(), [[0.7, 0.7, 0.7]], thresholds=[0.0]).served.tolist() == [[0]]


def test_utility_weighs_quality_against_cost():
    # at t = 0.5: small .5·.4 - .5·.1 = .15, middle .5·.5 - .5·.3 = .10, large .5·1 - .5·1 = 0
    # at t = 0.2: small .8·.4 - .2·.1 = .30, middle .8·.5 - .2·.3 = .34, large .8·1 - .2·1 = .60
    assert _choose(Utility(), [[0.4, 0.5, 1.0]], thresholds=[0.2, 0.5]).served.tolist() == [[2], [0]]


def test_utility_goes_on_when_the_answer_turns_out_bad():
    def predict(called):
        return np.array([[0.9, 0.9, 0.9]] if called == () else [[0.1, 0.9, 0.9]])

    # after a bad small answer: stop at .9·.1 = .09, middle .9·.9 - .1·.3 = .78, large .9·.9 - .1·1 = .71
    choices = _choose(Utility(), predict, thresholds=[0.1], readable=frozenset({0}))
    assert choices.called.tolist() == [[[True, True, False]]]
    assert choices.served.tolist() == [[1]]
    assert choices.predictions.tolist() == [[2]]


def test_utility_without_readable_answers_makes_one_call():
    choices = _choose(Utility(), [[0.1, 0.9, 0.95], [0.5, 0.5, 0.5]])
    assert (choices.called.sum(axis=2) == 1).all()
    assert (choices.predictions == 1).all()


def test_a_cascade_goes_on_while_the_answer_is_doubted():
    def predict(called):
        return np.array([[0.9, 0.9, 0.5], [0.4, 0.8, 0.5], [0.3, 0.3, 0.5]])

    choices = _choose(Cascade(), predict, thresholds=[0.5], readable=frozenset({0, 1}))
    assert choices.called[0].tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert choices.served.tolist() == [[0, 1, 2]]


def test_a_cascade_at_threshold_0_always_escalates():
    choices = _choose(Cascade(), [[1.0, 1.0, 1.0]], thresholds=[0.0], readable=frozenset({0, 1}))
    assert choices.called.tolist() == [[[True, True, True]]]


def test_a_cascade_refuses_a_router_that_reads_no_answers():
    with pytest.raises(ValueError, match="does not read model 0"):
        _choose(Cascade(), [[0.5, 0.5, 0.5]])


@given(arrays(float, (7, 3), elements=st.floats(0, 1)))
def test_predicted_cost_never_rises_with_the_threshold(quality):
    choices = _choose(Utility(), quality)
    cost = (choices.called @ RELATIVE_COST).sum(axis=1)
    assert (np.diff(cost) <= 1e-9).all()


@given(arrays(float, (7, 3), elements=st.floats(0, 1)))
def test_cascade_cost_never_rises_with_the_threshold(quality):
    choices = _choose(Cascade(), quality, readable=frozenset({0, 1}))
    assert (np.diff((choices.called @ RELATIVE_COST).sum(axis=1)) <= 1e-9).all()
