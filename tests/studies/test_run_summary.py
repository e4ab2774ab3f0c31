"""The numbers of one strategy at its operating point."""

import numpy as np
import pytest

from slm_orchestration.routing.references import Constant
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.studies.run_summary import at_operating_point, gain_over, mixture_points
from tests.routing.tables_by_hand import matrix


def outcomes(guess: float):
    made = matrix([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    made.tasks["guess_quality"] = guess
    return made


def test_the_mixture_joins_guess_and_models_and_a_constant_gains_nothing():
    made = outcomes(0.0)
    vertices = mixture_points(made, made)
    assert vertices["name"].tolist() == ["guess", "small", "large"]
    assert gain_over(vertices, 5.5, 0.6) == pytest.approx(0.6 - 0.5)
    choices = Constant().choose(made, np.array([0.5]))["always_large"]
    found = at_operating_point(replay("always_large", choices, made, overhead=Overhead()), 0, made, vertices)
    assert found["gain_over_mixture"] == pytest.approx(0.0)
    assert (found["quality"], found["retention"], found["cost_saving"]) == (0.75, 1.0, 1.0)


def test_without_a_known_guess_the_mixture_is_that_of_the_models():
    made = outcomes(np.nan)
    vertices = mixture_points(made, made)
    assert vertices["name"].tolist() == ["small", "large"]
    assert gain_over(vertices, 5.5, 0.6) == pytest.approx(0.1)
