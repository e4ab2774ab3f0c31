"""Bandits learn from what they paid for, follow a drift, and see nothing else."""

import dataclasses

import numpy as np
import pytest

from slm_orchestration.routing.features import LatentSemantics
from slm_orchestration.routing.routers.bandit import Bandit, LinearArms
from slm_orchestration.statistics.grid import on_grid
from tests.routing.tables_by_hand import matrix

KINDS = ["linucb", "thompson"]


def _bandit(kind="linucb", *, memory=1.0, exploration=0.2):
    arms = LinearArms(LatentSemantics(dimensions=4, seed=0), ridge=1.0)
    return Bandit("b", kind, arms, exploration=exploration, memory=memory, seed=0)


def _stream(quality):
    return matrix(quality, questions=["the same words here"] * len(quality))


FIT = _stream([[1, 0]] * 20)
# The small model is right on the first 100 tasks, the large one on the next 200.
DRIFT = _stream([[1, 0]] * 100 + [[0, 1]] * 200)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bandit_that_forgets_follows_a_drift(kind):
    served = _bandit(kind, memory=0.95).fit(FIT, FIT).choose(DRIFT, np.array([0.0]))["b"].served[0]
    assert (served[:100] == 0).mean() > 0.9
    assert (served[200:] == 1).mean() > 0.9


def test_forgetting_makes_it_follow_sooner():
    late = [
        (_bandit(memory=memory).fit(FIT, FIT).choose(DRIFT, np.array([0.0]))["b"].served[0, 100:] == 0).sum()
        for memory in (0.9, 1.0)
    ]
    assert late[0] < late[1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_called_is_never_seen(kind):
    rng = np.random.default_rng(0)
    outcomes = _stream(rng.integers(0, 2, (60, 3)))
    fitted = _bandit(kind).fit(outcomes, outcomes)
    served = fitted.choose(outcomes, np.array([0.2]))["b"].served[0]
    other = 1 - outcomes.quality
    other[np.arange(60), served] = outcomes.quality[np.arange(60), served]
    again = fitted.choose(dataclasses.replace(outcomes, quality=other), np.array([0.2]))["b"].served[0]
    assert (served == again).all()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_streams_and_the_stream_leaves_the_arms_alone(kind):
    fitted = _bandit(kind).fit(FIT, FIT)
    before = fitted.router.products.tobytes()
    one, two = (fitted.choose(DRIFT, np.linspace(0, 1, 5))["b"].served.tobytes() for _ in range(2))
    assert one == two and fitted.router.products.tobytes() == before


def test_an_arm_after_the_stream_is_the_ridge_regression_on_its_own_tasks():
    rng = np.random.default_rng(0)
    points, quality = rng.random((7, 3)), rng.random(7)
    fitted, arms = _bandit().fit(FIT, FIT), [np.eye(3)[None, None], np.zeros((1, 1, 3))]
    for point, right in zip(points, quality, strict=True):
        fitted._update(arms, np.array([0]), point, np.array([right]))
    ridge = np.linalg.solve(points.T @ points + np.eye(3), points.T @ quality)
    assert fitted._optimistic_quality(arms, np.full(3, 0.5), np.zeros(1))[0, 0] == on_grid(ridge.sum() / 2)


def test_at_threshold_1_the_cheapest_model_is_called():
    served = _bandit().fit(FIT, FIT).choose(DRIFT, np.array([1.0]))["b"].served
    assert (served == 0).all()


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="linucb or thompson"):
        _bandit("greedy").fit(FIT, FIT)
