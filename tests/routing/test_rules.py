"""Rules on predictions whose right choice a reader can see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from slm_orchestration.routing import sweep
from slm_orchestration.routing.rules import Cascade, CascadeRouting, PoolInfo, Utility, moments_of_maximum
from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.statistics.grid import STEP
from tests.routing.known import Known
from tests.routing.tables_by_hand import matrix

THRESHOLDS = np.linspace(0, 1, 11)
RELATIVE_COST = np.array([0.1, 0.3, 1.0])


def _choose(rule, quality, *, thresholds=THRESHOLDS, readable=frozenset()):
    predict = quality if callable(quality) else lambda called, rows=None: np.array(quality, dtype=float)
    return sweep.choose(rule, predict, PoolInfo(RELATIVE_COST, readable), np.array(thresholds))


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


def test_utility_escalates_when_the_answer_turns_out_bad():
    def predict(called, rows=None):
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


def test_a_cascade_escalates_while_the_predicted_quality_is_low():
    def predict(called, rows=None):
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


ANSWERS = frozenset({"prompt", "answer:*"})
COST = np.array([0.1, 0.3, 1.0])


def test_the_larger_of_two_equal_normals_lies_above_both_by_what_the_textbook_says():
    # E max of two standard normals is 1/sqrt(pi), its variance 1 - 1/pi
    mean, variance = moments_of_maximum(np.zeros(1), np.ones(1), np.zeros(1), 1.0)
    assert mean[0] == pytest.approx(1 / np.sqrt(np.pi))
    assert variance[0] == pytest.approx(1 - 1 / np.pi)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_the_mean_of_the_larger_is_what_integration_gives(a, b, sd_a, sd_b):
    x = np.linspace(-4, 5, 4001)
    below = stats.norm.cdf(x, a, sd_a) * stats.norm.cdf(x, b, sd_b)
    integral = x[-1] - np.trapezoid(below, x)
    assert moments_of_maximum(np.array([a]), np.array([sd_a**2]), np.array([b]), sd_b**2)[0][0] == pytest.approx(
        integral, abs=1e-4
    )


def test_numbers_that_are_certain_have_the_larger_as_their_larger():
    assert moments_of_maximum(np.array([0.2, 0.7]), np.zeros(2), np.array([0.5, 0.5]), 0.0)[0].tolist() == [0.5, 0.7]


def test_without_readable_answers_it_is_plain_utility():
    quality = np.random.default_rng(0).random((50, 3))
    pool, grid = PoolInfo(COST, frozenset()), np.linspace(0, 1, 21)
    rule = CascadeRouting(depth=3).calibrated(lambda called, rows=None: quality, pool)
    plans = sweep.choose(rule, lambda called, rows=None: quality, pool, grid)
    plain = sweep.choose(Utility(), lambda called, rows=None: quality, pool, grid)
    assert (plans.served == plain.served).all()
    assert (plans.called.sum(axis=2) == 1).all()


def test_the_spread_is_how_far_answers_move_predictions_on_calibration_tasks():
    # the small model's answers move its prediction from .5 to .9 and .1: by .4; nobody reads the others
    outcomes = matrix([[1, 1, 1], [0, 1, 1]])
    router = Known(np.full((2, 3), 0.5), np.array([[0.9] * 3, [0.1] * 3]), reads=frozenset({"prompt", "answer:small"}))
    fitted = RoutedStrategy("s", router, CascadeRouting(depth=3)).fit(outcomes, outcomes)
    assert fitted.rule.spread == pytest.approx((0.4, 0.0, 0.0), abs=STEP)


def test_planning_ahead_calls_two_uncertain_models_where_looking_one_call_ahead_goes_straight_to_the_large_one():
    # Two models of .5 ± .4 at .1 each: the better of both is worth .5 + .4/sqrt(pi) = .726, at t = .1
    # .9·.726 - .1·.2 = .633, against .9·.8 - .1·1 = .62 for the large model and .44 for a small one alone.
    quality, pool = np.array([[0.5, 0.5, 0.8]]), PoolInfo(np.array([0.1, 0.1, 1.0]), frozenset({0, 1}))
    spread = (0.4, 0.4, 0.0)
    ahead = sweep.choose(
        CascadeRouting(depth=3, spread=spread), lambda called, rows=None: quality, pool, np.array([0.1])
    )
    greedy = sweep.choose(
        CascadeRouting(depth=1, spread=spread), lambda called, rows=None: quality, pool, np.array([0.1])
    )
    assert ahead.called[0, 0, 0]
    assert greedy.called[0, 0].tolist() == [False, False, True]


def test_the_answer_served_is_the_called_one_of_the_highest_predicted_quality():
    # the small answer looks bad (.2), the middle one turns out worse (.1): the small one is served
    outcomes = matrix([[1, 0, 1]])
    router = Known(np.array([[0.9, 0.8, 0.0]]), np.array([[0.2, 0.1, 0.0]]), reads=ANSWERS)
    fitted = RoutedStrategy("s", router, CascadeRouting(depth=1)).fit(outcomes, outcomes)
    choices = fitted.choose(outcomes, np.array([0.0]))["s"]
    assert choices.called[0, 0].tolist() == [True, True, False]
    assert choices.served[0, 0] == 0


def test_equal_inputs_give_equal_bytes():
    rng = np.random.default_rng(0)
    outcomes = matrix(rng.integers(0, 2, (40, 3)))
    router = Known(rng.random((40, 3)), rng.random((40, 3)), reads=ANSWERS)
    grid = np.linspace(0, 1, 11)
    one, two = (
        RoutedStrategy("s", router, CascadeRouting(depth=3)).fit(outcomes, outcomes).choose(outcomes, grid)["s"]
        for _ in range(2)
    )
    assert one.called.tobytes() == two.called.tobytes() and one.served.tobytes() == two.served.tobytes()
