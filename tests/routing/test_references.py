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
    PermutedOracle,
    mixture_models,
)
from slm_orchestration.routing.replay import Overhead, replay
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


def test_the_permuted_oracle_keeps_each_models_mean_and_loses_what_they_have_in_common():
    # Both models are right on the same half of the tasks: the oracle gets .5, independent models 1 - .5·.5 = .75.
    outcomes = matrix([[1, 1], [0, 0]] * 2000)
    permuted = PermutedOracle(seed=0)
    choices = permuted.fit(outcomes, outcomes).choose(outcomes, GRID)["oracle_permuted"]
    replayed = replay("oracle_permuted", choices, outcomes, overhead=Overhead())
    assert replayed.quality.mean() == pytest.approx(0.75, abs=0.02)
    assert sorted(choices.permutation[:, 0]) == list(range(4000))
    again = permuted.choose(outcomes, GRID)["oracle_permuted"]
    assert (again.permutation == choices.permutation).all()


def test_permuting_stays_within_a_dataset():
    outcomes = matrix([[1, 1]] * 3 + [[0, 0]] * 3)
    outcomes.tasks["dataset"] = ["easy"] * 3 + ["hard"] * 3
    choices = PermutedOracle(seed=0).choose(outcomes, GRID)["oracle_permuted"]
    assert replay("o", choices, outcomes, overhead=Overhead()).quality[0].tolist() == [1, 1, 1, 0, 0, 0]


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
    served = _served(Mixture("mixture", seed=0), "mixture")
    assert served[0] == [2, 2, 2, 2]
    # Guess is right on .25 of the tasks, like the small model, so the small model is no vertex.
    assert served[-1] == [1, 1, 1, 1]


def test_the_mixture_meets_its_target_cost_on_average():
    outcomes = matrix([[0, 0, 1]] * 4000)
    choices = (
        Mixture("random", seed=0, whole_hull=False).fit(outcomes, outcomes).choose(outcomes, np.array([0.25]))["random"]
    )
    share_of_large = (choices.served == 2).mean()
    assert share_of_large == pytest.approx(0.75, abs=0.03)
    assert not (choices.served == 1).any()


def test_equal_seeds_mix_equally_and_other_seeds_do_not():
    outcomes = matrix([[0, 1, 1], [0, 0, 1]] * 25)
    one, same, other = (_served(Mixture("m", seed=s), "m", outcomes=outcomes) for s in (1, 1, 2))
    assert one == same
    assert one != other


def test_the_domain_table_at_threshold_0_is_the_best_model_per_domain_on_calibration():
    calibration = matrix([[1, 0, 0], [0, 0, 1]], domains=["logic", "code"])
    choices = DomainTableGiven().fit(OUTCOMES, calibration).choose(OUTCOMES, np.array([0.0]))["domain_table_given"]
    assert choices.served.tolist() == [[0, 0, 2, 2]]
