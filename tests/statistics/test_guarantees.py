import numpy as np
import pytest

from slm_orchestration.statistics.guarantees import betting_p_values, certified

BOUNDS = (-1.0, 0.95)


def test_a_sequence_stops_at_the_first_test_that_is_not_rejected():
    assert certified(np.array([0.01, 0.04, 0.2, 0.001]), delta=0.05) == 2
    assert certified(np.array([0.2, 0.001]), delta=0.05) == 0
    assert certified(np.array([0.01, 0.01]), delta=0.05) == 2


def test_values_clearly_below_the_mean_give_a_small_p_value_and_values_above_it_give_1():
    low, high = np.full((1, 200), -0.5), np.full((1, 200), 0.5)
    assert betting_p_values(low, 0.0, bounds=BOUNDS)[0] < 1e-6
    assert betting_p_values(high, 0.0, bounds=BOUNDS)[0] == 1.0


def test_a_bet_on_one_value_can_be_added_up():
    # bounds 0 to 1, mean 0.5, one value 0: stake = min(sqrt(2 log 20 / 0.25), 0.75 / 0.5) = 1.5
    # capital = 1 + 1.5 · 0.5 = 1.75
    assert betting_p_values(np.array([[0.0]]), 0.5, bounds=(0, 1))[0] == pytest.approx(1 / 1.75)


def test_under_the_null_small_p_values_are_as_rare_as_they_claim():
    rng = np.random.default_rng(0)
    for values in (
        rng.choice([-1.0, 0.95], (4000, 200), p=[0.95 / 1.95, 1 / 1.95]),
        rng.uniform(-0.9, 0.9, (4000, 200)),
    ):
        p = betting_p_values(values, 0.0, bounds=BOUNDS)
        # exact up to simulation: at most 5 % lie under .05; 4,000 draws have a standard error of .35 points
        assert (p <= 0.05).mean() <= 0.05 + 3 * 0.0035


def test_power_grows_with_tasks():
    rng = np.random.default_rng(0)
    shares = [
        (betting_p_values(rng.normal(-0.1, 0.2, (200, n)).clip(-1, 0.95), 0.0, bounds=BOUNDS) <= 0.05).mean()
        for n in (20, 200)
    ]
    assert shares[0] < shares[1]
    assert shares[1] > 0.95


@pytest.mark.parametrize(("values", "mean"), [([[2.0]], 0.0), ([[0.0]], 3.0), ([[-2.0]], 0.0)])
def test_values_beyond_their_bounds_are_refused(values, mean):
    with pytest.raises(ValueError, match="must lie within"):
        betting_p_values(np.array(values), mean, bounds=BOUNDS)


def test_delta_must_be_a_probability():
    with pytest.raises(ValueError, match="allowed is between 0 and 1"):
        certified(np.array([0.5]), delta=0.0)
