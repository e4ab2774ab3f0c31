"""The simulated fleet against arithmetic and against the formulas of queueing theory."""

import math

import numpy as np
import pytest

from slm_orchestration.orchestration.simulation import fleet_latency, mean_wait, waits


def test_one_replica_serves_in_order_and_two_share():
    arrivals, service = np.array([0.0, 1.0, 2.0]), np.array([3.0, 3.0, 1.0])
    assert waits(arrivals, service, 1).tolist() == [0.0, 2.0, 4.0]
    assert waits(arrivals, service, 2).tolist() == [0.0, 0.0, 1.0]


def test_each_model_has_a_line_of_its_own():
    latency = fleet_latency(np.array([0.0, 0.0, 1.0]), np.array([0, 1, 1]), np.array([2.0, 5.0, 1.0]), 1)
    assert latency.tolist() == [2.0, 5.0, 5.0]


def test_the_formula_gives_the_textbooks_values():
    assert mean_wait(0.5, 1.0, 1) == pytest.approx(1.0)  # M/M/1: load/(1 - load) service times
    assert mean_wait(1.0, 1.0, 2) == pytest.approx(1 / 3)  # Erlang C of 2 replicas at load 1 is 1/3
    assert mean_wait(2.0, 1.0, 2) == math.inf


@pytest.mark.parametrize(("rate", "replicas"), [(0.7, 1), (1.6, 2), (6.0, 8)])
def test_random_arrivals_and_services_wait_as_long_as_the_formula_says(rate, replicas):
    rng = np.random.default_rng(0)
    arrivals = rng.exponential(1 / rate, 200_000).cumsum()
    waited = waits(arrivals, rng.exponential(1.0, 200_000), replicas)
    assert waited[20_000:].mean() == pytest.approx(mean_wait(rate, 1.0, replicas), rel=0.06)


def test_unsorted_arrivals_are_refused():
    with pytest.raises(ValueError, match="sorted arrivals"):
        waits(np.array([1.0, 0.0]), np.array([1.0, 1.0]), 1)
