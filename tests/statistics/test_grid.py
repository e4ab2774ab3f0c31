"""Values on the grid are the same on every machine, and no decision changes with the last digits."""

import numpy as np
import pytest

from slm_orchestration.statistics import curves, intervals, sensitivity
from slm_orchestration.statistics.grid import STEP, on_grid, probability_on_grid


def test_values_are_rounded_to_multiples_of_the_step():
    assert on_grid([0.1, 0.5, -0.1]).tolist() == [410 * STEP, 0.5, -410 * STEP]
    assert on_grid([1.5 * STEP, 2.5 * STEP]).tolist() == [2 * STEP, 2 * STEP]
    assert np.signbit(on_grid([-1e-9])).tolist() == [False]
    assert np.isnan(on_grid([np.nan])).all()


def test_a_probability_on_the_grid_has_a_logit():
    assert probability_on_grid([0.0, 1e-9, 1.0]).tolist() == [STEP, STEP, 1 - STEP]


def test_sums_of_products_of_grid_values_are_exact_in_any_order():
    rng = np.random.default_rng(0)
    points = on_grid(rng.normal(size=(2, 500)))
    one, other = points[:, rng.permutation(500)], points
    assert sum(one[0] * one[1]) == sum(other[0] * other[1]) == np.dot(*one)


def test_rounding_changes_no_bca_interval():
    rng = np.random.default_rng(1)
    resampled = rng.integers(0, 20, 1000) / 20  # many resamples equal the estimate, as means of right and wrong do
    influence = rng.normal(size=30)
    exact = intervals.bca(resampled, 0.5, influence, level=0.95)
    for shift in (1e-16, -1e-16):
        rounded = resampled + shift * rng.integers(0, 2, 1000)
        assert intervals.bca(rounded, 0.5 - shift, influence, level=0.95) == pytest.approx(exact, abs=1e-12)


def test_rounding_changes_no_threshold_that_a_curve_reaches_exactly():
    share, quality = np.array([0.0, 0.25, 0.5, 1.0]), np.array([0.0, 0.5, 0.2, 1.0])
    assert curves.cpt(share, quality, 0.5) == 0.25
    assert curves.cpt(share, quality - np.array([0, 1e-16, 0, 0]), 0.5) == pytest.approx(0.25)


def test_strategies_that_differ_by_rounding_share_a_rank():
    observed = np.array([0.1, 0.1 + 1e-16, 0.05])
    resampled = observed + np.random.default_rng(2).normal(scale=0.01, size=(200, 3))
    rank, *_ = sensitivity.rank_intervals(observed, resampled, level=0.95)
    assert rank.tolist() == [1, 1, 3]
    assert sensitivity.winner(observed, resampled, level=0.95).position == 0
