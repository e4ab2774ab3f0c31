"""Bandits learn from what they paid for, follow a drift, and see nothing else."""

import dataclasses

import numpy as np
import pytest

from slm_orchestration.routing.features import LatentSemantics
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.routing.routers.bandit import Bandit, LinearArms
from slm_orchestration.statistics.grid import on_grid
from tests.routing.tables_by_hand import matrix

KINDS = ["linucb", "thompson"]


def _bandit(kind="linucb", *, memory=1.0, exploration=0.2):
    arms = LinearArms(LatentSemantics(dimensions=4, seed=0), ridge=1.0)
    return Bandit("b", kind, arms, exploration=exploration, memory=memory, seed=0, streams=40, batch=1)


def _served(fitted, outcomes, thresholds):
    """Serve the tasks once, in the order in which they stand."""
    return fitted.serve_in_order(outcomes, np.array(thresholds), np.arange(len(outcomes))[None])[0]


def _stream(quality):
    return matrix(quality, questions=["the same words here"] * len(quality))


FIT = _stream([[1, 0]] * 20)
# The small model is right on the first 100 tasks, the large one on the next 200.
DRIFT = _stream([[1, 0]] * 100 + [[0, 1]] * 200)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bandit_that_forgets_follows_a_drift(kind):
    served = _served(_bandit(kind, memory=0.95).fit(FIT, FIT), DRIFT, [0.0])[0]
    assert (served[:100] == 0).mean() > 0.9
    assert (served[200:] == 1).mean() > 0.9


def test_forgetting_makes_it_follow_sooner():
    late = [(_served(_bandit(memory=m).fit(FIT, FIT), DRIFT, [0.0])[0, 100:] == 0).sum() for m in (0.9, 1.0)]
    assert late[0] < late[1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_called_is_never_seen(kind):
    rng = np.random.default_rng(0)
    outcomes = _stream(rng.integers(0, 2, (60, 3)))
    fitted = _bandit(kind).fit(outcomes, outcomes)
    served = _served(fitted, outcomes, [0.2])[0]
    other = 1 - outcomes.quality
    other[np.arange(60), served] = outcomes.quality[np.arange(60), served]
    again = _served(fitted, dataclasses.replace(outcomes, quality=other), [0.2])[0]
    assert (served == again).all()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_streams_and_the_stream_leaves_the_arms_alone(kind):
    fitted = _bandit(kind).fit(FIT, FIT)
    before = fitted.router.products.tobytes()
    one, two = (fitted.serve(DRIFT, np.linspace(0, 1, 5)).tobytes() for _ in range(2))
    assert one == two and fitted.router.products.tobytes() == before


def test_blocks_of_one_domain_in_the_file_give_no_advantage_over_shuffled_streams():
    # In file order a bandit that forgets tracks the present block; the mean over shuffled streams does not.
    blocks = _stream(([[1, 0]] * 50 + [[0, 1]] * 50) * 4)
    fitted = _bandit(memory=0.9, exploration=0.5).fit(FIT, FIT)
    in_file_order = blocks.quality[np.arange(400), _served(fitted, blocks, [0.0])[0]].mean()
    shuffled = replay("b", fitted.choose(blocks, np.array([0.0]))["b"], blocks, overhead=Overhead()).quality.mean()
    assert in_file_order > 0.8
    assert abs(shuffled - 0.5) < 0.05


def test_the_shares_are_those_of_the_streams():
    fitted = _bandit().fit(FIT, FIT)
    served, choices = fitted.serve(DRIFT, np.array([0.1])), fitted.choose(DRIFT, np.array([0.1]))["b"]
    assert served.shape == (40, 1, 300)
    assert choices.shares[0, :, 1] == pytest.approx((served[:, 0] == 1).mean(axis=0))


def test_feedback_in_batches_changes_little():
    rng = np.random.default_rng(1)
    outcomes = _stream((rng.random((300, 2)) < [0.4, 0.7]).astype(float))
    one, ten = (dataclasses.replace(_bandit(), batch=batch).fit(FIT, FIT) for batch in (1, 10))
    means = [outcomes.quality[np.arange(300), b.serve(outcomes, np.array([0.0]))[:, 0]].mean() for b in (one, ten)]
    assert abs(means[0] - means[1]) < 0.03


def test_an_arm_after_the_stream_is_the_ridge_regression_on_its_own_tasks():
    rng = np.random.default_rng(0)
    points, quality = rng.random((1, 8, 3)), rng.random(8)
    fitted, arms = _bandit().fit(FIT, FIT), [np.eye(3)[None, None, None], np.zeros((1, 1, 1, 3))]
    for rows in (slice(0, 3), slice(3, 8)):
        called = np.zeros((1, 1, len(quality[rows])), dtype=int)
        fitted._update(arms, called, points[:, rows], quality[None, None, rows])
    ridge = np.linalg.solve(points[0].T @ points[0] + np.eye(3), points[0].T @ quality)
    found = fitted._optimistic_quality(arms, np.full((1, 1, 3), 0.5), np.zeros((1, 1, 1)))
    assert found.item() == on_grid(ridge.sum() / 2)


def test_the_bonus_is_the_deviation_of_the_ridge_regression():
    points = np.random.default_rng(0).random((1, 2, 3))
    fitted, arms = _bandit().fit(FIT, FIT), [np.diag([4.0, 1.0, 1.0])[None, None, None], np.zeros((1, 1, 1, 3))]
    found = fitted._optimistic_quality(arms, points, np.full((1, 2, 1), 0.5))
    expected = 0.5 * np.sqrt(points[0, :, 0] ** 2 / 4 + points[0, :, 1] ** 2 + points[0, :, 2] ** 2)
    assert found[0, 0, :, 0].tolist() == on_grid(expected).tolist()


def test_at_threshold_1_the_cheapest_model_is_called():
    choices = _bandit().fit(FIT, FIT).choose(DRIFT, np.array([1.0]))["b"]
    assert (choices.shares[..., 0] == 1).all()


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="linucb or thompson"):
        _bandit("greedy").fit(FIT, FIT)
