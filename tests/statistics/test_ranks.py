import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.sensitivity import rank_intervals, winner


def around(*centres: float, spread: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    observed = np.array(centres)
    return observed, observed + np.random.default_rng(seed).normal(0, spread, size=(2000, observed.size))


def test_strategies_far_apart_have_certain_ranks():
    rank, best, worst = rank_intervals(*around(0.0, 100.0, 50.0), level=0.95)
    assert rank.tolist() == best.tolist() == worst.tolist() == [3, 1, 2]


def test_strategies_that_cannot_be_told_apart_share_their_ranks():
    _, best, worst = rank_intervals(*around(0.0, 0.1, 100.0), level=0.95)
    assert best.tolist() == [2, 2, 1] and worst.tolist() == [3, 3, 1]


def test_equal_strategies_have_equal_ranks():
    assert rank_intervals(*around(1.0, 1.0, 0.0), level=0.95)[0].tolist() == [1, 1, 3]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6), st.integers(0, 1000))
def test_a_rank_lies_within_its_interval_and_the_order_of_strategies_changes_nothing(centres, seed):
    observed, drawn = around(*centres, seed=seed)
    rank, best, worst = rank_intervals(observed, drawn, level=0.9)
    assert ((best <= rank) & (rank <= worst)).all()
    turned = rank_intervals(observed[::-1], drawn[:, ::-1], level=0.9)
    assert [part[::-1].tolist() for part in turned] == [rank.tolist(), best.tolist(), worst.tolist()]


def test_the_winner_of_equal_strategies_loses_its_luck():
    # The largest of ten standard normal draws is 1.54 on average.
    found = [winner(*around(*np.random.default_rng(seed).normal(size=10), seed=seed), level=0.95) for seed in range(40)]
    naive, corrected = (np.mean([getattr(one, name) for one in found]) for name in ("naive", "corrected"))
    assert naive == pytest.approx(1.54, abs=0.3)
    assert corrected < naive - 0.5
    assert all(one.low <= one.naive <= one.high for one in found)


def test_a_winner_far_ahead_owes_nothing_to_luck():
    found = winner(*around(0.0, 50.0), level=0.95)
    assert found.position == 1 and found.corrected == pytest.approx(50.0, abs=0.1)


def test_one_strategy_has_no_rank_and_an_undefined_estimate_none_either():
    with pytest.raises(UndefinedStatistic, match="at least 2 strategies, got 1"):
        rank_intervals(*around(1.0), level=0.95)
    with pytest.raises(ValueError, match="one finite estimate per strategy"):
        rank_intervals(np.array([1.0, np.nan]), np.zeros((5, 2)), level=0.95)
    with pytest.raises(UndefinedStatistic, match="the same in every resample"):
        rank_intervals(np.array([1.0, 2.0]), np.tile([1.0, 2.0], (5, 1)), level=0.95)
