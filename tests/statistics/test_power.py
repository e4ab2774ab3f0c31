import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_orchestration.statistics import power
from slm_orchestration.statistics.intervals import UndefinedStatistic


def test_the_detectable_difference_is_rs(oracles):
    assert power.detectable_difference(0.5, 250) == pytest.approx(oracles["detectable_250_pairs_sd_05"][0], rel=1e-5)


def test_the_pairs_needed_are_rs(oracles):
    # R solves for a fraction of a pair.
    assert power.pairs_needed(0.02, 0.5) == int(oracles["pairs_needed_002_sd_05"][0]) + 1


@settings(max_examples=25, deadline=None)
@given(st.integers(10, 3000), st.floats(0.1, 1.0))
def test_the_pairs_needed_for_a_detectable_difference_are_those_it_was_found_with(pairs, spread):
    smallest = power.detectable_difference(spread, pairs)
    assert abs(power.pairs_needed(smallest * (1 + 1e-9), spread) - pairs) <= 1


def test_without_a_difference_the_power_is_the_level():
    assert power.power(0.0, 1.0, 100) == pytest.approx(0.05)
    assert power.power(0.0, 1.0, 20_000) == pytest.approx(0.05)


def test_a_retention_of_one_needs_only_what_the_disagreement_asks():
    # Half right, differing on a tenth of the tasks: ± 0.02 needs (1.96 / 0.02)² · 0.1 / 0.25 tasks.
    assert power.tasks_for_retention(1.0, 0.02, dearest_quality=0.5, disagreement=0.1) == 3842


def test_impossible_disagreement_is_refused():
    with pytest.raises(UndefinedStatistic, match="cannot have qualities"):
        power.tasks_for_retention(0.5, 0.02, dearest_quality=0.8, disagreement=0.1)


def test_no_number_of_tasks_shows_nothing():
    with pytest.raises(UndefinedStatistic, match="difference of 0"):
        power.pairs_needed(0.0, 1.0)


def test_one_pair_and_no_spread_are_refused():
    with pytest.raises(UndefinedStatistic, match="at least 2 pairs, got 1"):
        power.power(0.1, 1.0, 1)
    with pytest.raises(UndefinedStatistic, match="do not vary"):
        power.power(0.1, 0.0, 10)


@pytest.mark.parametrize("pairs", [2, 3, 4, 6, 11, 101])
def test_few_pairs_have_a_detectable_difference_too(pairs):
    assert power.power(power.detectable_difference(1.0, pairs), 1.0, pairs) == pytest.approx(0.8, abs=1e-6)
