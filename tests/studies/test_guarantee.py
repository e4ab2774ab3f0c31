"""The simulated guarantee: missed no more often than it says, and at most as cheap as the population allows."""

import pytest

from slm_orchestration.studies.guarantee import IGNORING_GROUPS, Draws, simulate


def test_the_simulated_guarantee_is_missed_no_more_often_than_it_says():
    table = simulate(Draws(500, 60), target=0.95, delta=0.1, seed=0).set_index("rule")
    # a rate truly at .1 lies above the interval's lower end but for 2.5 % of the seeds
    assert table.loc["guaranteed", "low"] <= 0.1
    assert table.loc["guaranteed", "small_share"] <= table.loc["plug-in", "small_share"]
    again = simulate(Draws(500, 60), target=0.95, delta=0.1, seed=0).set_index("rule")
    assert table.equals(again)
    # no rule that keeps the target can leave more to the small model than the cheapest such threshold
    assert table["best_small_share"].nunique() == 1
    assert table.loc["guaranteed", "small_share"] <= table["best_small_share"].iloc[0] + 1e-9
    assert ((table["low"] <= table["violations"]) & (table["violations"] <= table["high"])).all()


def test_with_a_target_that_every_threshold_keeps_no_rule_misses_it():
    # the small model is right on 1 - .35/2 of what the large one is, more than half
    table = simulate(Draws(400, 3), target=0.5, delta=0.1, seed=1)
    assert table["violations"].tolist() == [0.0, 0.0]
    assert table["best_small_share"].tolist() == pytest.approx([1.0, 1.0], abs=0.03)


def test_tasks_that_share_their_luck_are_bet_on_as_groups():
    table = simulate(Draws(1000, 150, per_group=10), target=0.95, delta=0.05, seed=0).set_index("rule")
    assert table.loc["guaranteed", "low"] <= 0.05
    # A bet on every task counts the same evidence ten times.
    assert table.loc[IGNORING_GROUPS, "low"] > 0.05
