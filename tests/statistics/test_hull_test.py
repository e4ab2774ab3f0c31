"""The test against every mixture of constant models at a strategy's cost."""

import numpy as np
import pytest

from slm_orchestration.statistics.hull_test import nearest_mixture
from slm_orchestration.statistics.resampling import Design


def alone(tasks: int) -> Design:
    return Design(np.arange(tasks), np.zeros(tasks, dtype=np.int64))


def constants(rng: np.random.Generator, tasks: int, means: list[float], costs: list[float]):
    quality = (rng.random((tasks, len(means))) < means).astype(float)
    return quality, np.tile(costs, (tasks, 1)).astype(float)


def test_a_router_that_is_one_model_is_no_better_than_that_model():
    quality, cost = constants(np.random.default_rng(0), 200, [0.5, 0.6, 0.9], [1, 2, 3])
    nearest = nearest_mixture(quality[:, 1], cost[:, 1], (quality, cost), alone(200))
    assert (nearest.models, nearest.p_value, nearest.gain) == ((1,), 1.0, 0.0)


def test_the_mixture_at_equal_cost_is_found_with_its_share():
    rng = np.random.default_rng(1)
    quality, cost = constants(rng, 400, [0.4, 0.8], [1, 5])
    chosen = rng.random(400) < 0.5
    routed = np.where(chosen, quality[:, 1], quality[:, 0]), np.where(chosen, cost[:, 1], cost[:, 0])
    nearest = nearest_mixture(*routed, (quality, cost), alone(400))
    assert nearest.models == (0, 1) and nearest.share == pytest.approx(chosen.mean())
    mixed = (1 - nearest.share) * quality[:, 0].mean() + nearest.share * quality[:, 1].mean()
    assert nearest.gain == pytest.approx(routed[0].mean() - mixed)
    assert nearest.p_value > 0.01


def test_a_router_that_takes_the_right_model_is_better_than_all_mixtures():
    rng = np.random.default_rng(2)
    right = rng.random(300) < 0.5
    quality = np.column_stack([right, ~right]).astype(float)
    cost = np.tile([1.0, 2.0], (300, 1))
    nearest = nearest_mixture(np.ones(300), np.where(right, 1.0, 2.0), (quality, cost), alone(300))
    assert nearest.p_value < 1e-6 and nearest.gain == pytest.approx(0.5, abs=0.1)


def test_a_router_cheaper_than_every_model_is_compared_with_the_cheapest():
    quality, cost = constants(np.random.default_rng(3), 50, [0.5, 0.9], [2, 3])
    assert nearest_mixture(quality[:, 0], np.ones(50), (quality, cost), alone(50)).models == (0,)


def test_without_a_signal_a_tuned_choice_among_models_is_rarely_better():
    # The best of 13 equal models on 40 tasks is tested on 60 others: against the true best, at most 2.5 % are better.
    false = 0
    for number in range(200):
        rng = np.random.default_rng(number)
        quality, cost = constants(rng, 100, [0.5] * 13, list(range(1, 14)))
        best = int(quality[:40].mean(axis=0).argmax())
        part = quality[40:], cost[40:]
        nearest = nearest_mixture(part[0][:, best], part[1][:, best], part, alone(60))
        false += nearest.p_value <= 0.025
    assert false == 0
