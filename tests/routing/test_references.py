import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slm_orchestration.routing.references import (
    Constant,
    DomainTableGiven,
    Guess,
    Mixture,
    Oracle,
    mixture_models,
)
from slm_orchestration.routing.replay import Overhead, decisions, replay
from slm_orchestration.routing.rules import GUESS
from slm_orchestration.statistics.curves import upper_hull
from tests.routing.tables_by_hand import matrix

OUTCOMES = matrix([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]], domains=["logic", "logic", "code", "code"])
GRID = np.linspace(0, 1, 5)


def _served(strategy, name, *, outcomes=OUTCOMES, thresholds=GRID):
    return strategy.fit(outcomes, outcomes).choose(outcomes, thresholds)[name].served.tolist()


def test_constant_is_one_strategy_per_model():
    choices = Constant().fit(OUTCOMES, OUTCOMES).choose(OUTCOMES, GRID)
    assert list(choices) == ["always_small", "always_middle", "always_large"]
    assert choices["always_middle"].served.tolist() == [[1, 1, 1, 1]]
    assert np.isnan(choices["always_large"].thresholds).all()


def test_guess_calls_no_model():
    assert _served(Guess(), "guess") == [[GUESS] * 4]


def test_oracle_takes_the_cheapest_of_the_best_models():
    assert _served(Oracle(), "oracle") == [[0, 1, 2, 0]]


def test_the_hull_leaves_out_models_below_the_line_and_more_expensive_ones_that_are_no_better():
    cost = np.array([1.0, 2.0, 3.0, 4.0])
    assert upper_hull(cost, np.array([0.1, 0.2, 0.9, 0.9])) == [0, 2]
    assert upper_hull(cost, np.array([0.1, 0.5, 0.6, 0.7])) == [0, 1, 3]
    assert upper_hull(cost, np.array([0.9, 0.2, 0.3, 0.4])) == [0]


def test_a_model_below_the_line_from_guess_to_a_larger_one_is_no_vertex():
    # Costs 1, 3, 10 (tables_by_hand); guess .3: the small model's .3 lies under the line to the middle one.
    outcomes = matrix([[0, 1, 1]] * 5 + [[1, 1, 1]] * 3 + [[0, 0, 1], [0, 0, 0]])
    outcomes.tasks["guess_quality"] = 0.3
    assert mixture_models(outcomes) == [1, 2]
    outcomes.tasks["guess_quality"] = np.nan
    assert mixture_models(outcomes) == [0, 1, 2]
    outcomes.tasks["guess_quality"] = 0.95
    assert mixture_models(outcomes) == []


@given(arrays(float, 6, elements=st.floats(0, 1)))
def test_no_constant_lies_above_the_hull(quality):
    cost = np.arange(1.0, 7.0)
    hull = upper_hull(cost, quality)
    assert (np.interp(cost, cost[hull], quality[hull]) >= quality - 1e-12).all()


def test_the_mixture_goes_from_the_most_expensive_to_the_cheapest_vertex():
    served = _served(Mixture("mixture"), "mixture")
    assert served[0] == [2, 2, 2, 2]
    # Guess is right on .25 of the tasks, like the small model, so the small model is no vertex.
    assert served[-1] == [1, 1, 1, 1]


def test_random_mixing_is_an_expectation_and_no_draw():
    # At .25, three quarters of the way to the large model: cost .25·1 + .75·10, right on .75 of tasks only it solves.
    outcomes = matrix([[0, 0, 1], [1, 1, 1]])
    fitted = Mixture("random", whole_hull=False).fit(outcomes, outcomes)
    replayed = replay("random", fitted.choose(outcomes, np.array([0.25]))["random"], outcomes, overhead=Overhead())
    assert replayed.quality.tolist() == [[0.75, 1.0]]
    assert replayed.cost_usd.tolist() == [[7.75, 7.75]]
    assert replayed.escalated.tolist() == [[0.75, 0.75]]
    table = decisions(replayed, outcomes)
    assert table["model"].tolist() == ["mixed", "mixed"]
    assert [list(names) for names in table["models_called"]] == [["small", "large"]] * 2


@pytest.mark.parametrize("whole_hull", [True, False])
def test_the_mixture_lies_on_the_line_through_its_vertices_at_every_threshold(whole_hull):
    rng = np.random.default_rng(0)
    outcomes = matrix((rng.random((60, 3)) < [0.5, 0.75, 0.9]).astype(float).tolist())
    choices = Mixture("m", whole_hull=whole_hull).fit(outcomes, outcomes).choose(outcomes, GRID)["m"]
    replayed = replay("m", choices, outcomes, overhead=Overhead())
    hull = [0, 1, 2] if whole_hull else [0, 2]
    expected = np.interp(
        replayed.cost_usd.mean(axis=1), outcomes.cost_usd.mean(axis=0)[hull], outcomes.quality.mean(axis=0)[hull]
    )
    assert replayed.quality.mean(axis=1) == pytest.approx(expected, abs=1e-12)


def test_the_told_domain_table_learns_from_fit_tasks_and_never_from_calibration():
    fit = matrix([[1, 0, 0], [0, 0, 1]], domains=["logic", "code"])
    calibration = matrix([[0, 0, 1], [1, 0, 0]], domains=["logic", "code"])
    choices = DomainTableGiven().fit(fit, calibration).choose(OUTCOMES, np.array([0.0]))["domain_table_given"]
    assert choices.served.tolist() == [[0, 0, 2, 2]]
