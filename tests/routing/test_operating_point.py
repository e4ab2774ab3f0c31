import numpy as np
import pytest

from slm_orchestration.routing.operating_point import (
    AIMS,
    BestQuality,
    Budget,
    Fixed,
    GuaranteedBudget,
    GuaranteedRetention,
    Retention,
    operating_point_for,
)
from slm_orchestration.routing.references import most_expensive_always, one_model_each
from slm_orchestration.routing.replay import Overhead, replay
from tests.routing.tables_by_hand import matrix

# the large model is right on all four tasks, the small one on the first three
OUTCOMES = matrix([[1, 1], [1, 1], [1, 1], [0, 1]])
LARGE_ON = [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]


def _replayed(chosen):
    return replay(
        "s", one_model_each(np.array(chosen), 2, np.linspace(0, 1, len(chosen))), OUTCOMES, overhead=Overhead()
    )


def test_retention_takes_the_cheapest_threshold_that_keeps_the_target():
    assert Retention(target=1.0).choose(_replayed(LARGE_ON), OUTCOMES).position == 2
    assert Retention(target=0.75).choose(_replayed(LARGE_ON), OUTCOMES).position == 3


def test_retention_says_when_nothing_keeps_the_target():
    chosen = Retention(target=0.95).choose(_replayed([[0, 0, 0, 0], [0, 0, 0, 0]]), OUTCOMES)
    assert "none keeps 0.95" in chosen.reason


def test_retention_of_1_names_the_most_expensive_models_quality():
    kept = Retention(target=1.0).choose(_replayed(LARGE_ON), OUTCOMES)
    assert kept.reason == "cheapest that keeps the most expensive model's quality on calibration tasks"
    none = Retention(target=1.0).choose(_replayed([[0, 0, 0, 0], [0, 0, 0, 0]]), OUTCOMES)
    assert none.reason == "highest quality: none keeps the most expensive model's quality on calibration tasks"


def test_a_budget_takes_the_best_threshold_that_it_pays():
    # Costs are 10, 5.5, 3.25 and 1 of 10; qualities 1, 1, 1 and .75.
    replayed = _replayed(LARGE_ON)
    assert Budget(share=0.3).choose(replayed, OUTCOMES).position == 3
    # Half is not enough for 5.5; at .55 the two are equally good, and the cheaper is taken.
    assert Budget(share=0.325).choose(replayed, OUTCOMES).position == 2
    chosen = Budget(share=0.55).choose(replayed, OUTCOMES)
    assert chosen.position == 2
    assert chosen.reason == "highest quality for at most 0.55 of the most expensive model's cost on calibration tasks"


def test_a_budget_may_be_better_spent_in_part():
    # Qualities 1, .75 (the large model on the wrong task) and .75 at costs 10, 3.25 and 1.
    replayed = _replayed([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]])
    assert Budget(share=0.5).choose(replayed, OUTCOMES).position == 2
    assert Budget(share=1.0).choose(replayed, OUTCOMES).position == 0


def test_a_budget_that_nothing_keeps_takes_the_cheapest_and_says_so():
    chosen = Budget(share=0.05).choose(_replayed(LARGE_ON), OUTCOMES)
    assert chosen.position == 3
    assert chosen.reason == "cheapest: none costs at most 0.05 of the most expensive model's cost on calibration tasks"


def test_a_budget_beyond_the_most_expensive_model_is_refused():
    with pytest.raises(ValueError, match=r"operating_point\.share is 2; allowed is 0 to 1"):
        Budget(share=2).choose(_replayed(LARGE_ON), OUTCOMES)


def test_the_best_quality_may_exceed_that_of_the_most_expensive_model_and_ties_go_to_the_cheaper():
    outcomes = matrix([[1, 0], [1, 1], [1, 1], [0, 1]])
    # Large on all four: 3 of 4 right; on the last three or the last one: all right; on none: 3 of 4.
    mixed = one_model_each(np.array([[1] * 4, [0, 1, 1, 1], [0, 0, 0, 1], [0] * 4]), 2, np.linspace(0, 1, 4))
    replayed = replay("s", mixed, outcomes, overhead=Overhead())
    assert BestQuality().choose(replayed, outcomes).position == 2
    # The same quality as the most expensive model is cheaper still.
    assert Retention(target=1.0).choose(replayed, outcomes).position == 3


def test_every_aim_has_a_rule_and_no_other_word_has():
    assert [operating_point_for(aim, target=0.9, share=0.3) for aim in AIMS] == [
        Retention(0.9),
        Retention(1.0),
        Budget(0.3),
        BestQuality(),
    ]
    with pytest.raises(ValueError, match=r"^aim=thrift: allowed is retention, same_quality, budget or best_quality$"):
        operating_point_for("thrift")


def test_fixed_takes_its_threshold_which_is_replayed_even_if_the_grid_lacks_it():
    assert Fixed(0.7).extra_thresholds() == [0.7]
    assert Fixed(0.7).choose(_replayed(LARGE_ON), OUTCOMES).position == 2


def test_a_fixed_threshold_beyond_1_is_refused():
    with pytest.raises(ValueError, match="allowed is 0 to 1"):
        Fixed(2).choose(_replayed(LARGE_ON), OUTCOMES)


def test_a_guarantee_needs_more_than_four_tasks_and_says_so():
    chosen = GuaranteedRetention(target=0.95, delta=0.05, seed=0).choose(_replayed(LARGE_ON), OUTCOMES)
    assert chosen.most_expensive_always and not chosen.certified
    assert chosen.reason.startswith("the most expensive model always: no threshold is certified to keep 0.95")


def test_where_threshold_0_loses_too_much_the_most_expensive_model_stays():
    # At threshold 0 the small model serves all, as it is predicted to be better: only always-L keeps the quality.
    outcomes = matrix([[0, 1]] * 400)
    replayed = replay("s", one_model_each(np.zeros((1, 400), int), 2, np.array([0.0])), outcomes, overhead=Overhead())
    assert GuaranteedRetention(target=0.95, delta=0.05, seed=0).choose(replayed, outcomes).most_expensive_always
    stays = most_expensive_always("s", outcomes)
    assert stays.quality.tolist() == [[1.0] * 400] and stays.cost_usd.tolist() == [[10.0] * 400]


def test_a_strategy_without_thresholds_stays_what_it_is_whatever_it_keeps():
    outcomes = matrix([[0, 1]] * 400)
    small = replay(
        "small", one_model_each(np.zeros((1, 400), int), 2, np.array([np.nan])), outcomes, overhead=Overhead()
    )
    chosen = GuaranteedRetention(target=0.95, delta=0.05, seed=0).choose(small, outcomes)
    assert (chosen.position, chosen.most_expensive_always, chosen.certified) == (0, False, False)


def test_a_guarantee_bets_on_groups_and_not_on_their_tasks():
    # The same 4000 tasks certify nothing where they are four copies of one question.
    many = matrix([[1, 1]] * 4000)
    large_on = one_model_each(np.array([[1] * 4000, [0] * 4000]), 2, np.array([0.0, 1.0]))
    replayed = replay("s", large_on, many, overhead=Overhead())
    many.tasks["group"] = np.arange(4000) // 1000
    assert GuaranteedRetention(target=0.95, delta=0.05, seed=0).choose(replayed, many).most_expensive_always


def test_a_guarantee_over_many_tasks_certifies_what_loses_little():
    many = matrix([[1, 1]] * 4000)
    replayed = replay(
        "s", one_model_each(np.array([[1] * 4000, [0] * 4000]), 2, np.array([0.0, 1.0])), many, overhead=Overhead()
    )
    assert GuaranteedRetention(target=0.95, delta=0.05, seed=0).choose(replayed, many).position == 1


def test_the_guarantee_holds_in_simulation():
    # the small model keeps 0.80 / 0.86 = 0.93 of the large one's quality, below the target of 0.95:
    # choosing it is a violation, allowed in at most 10 % of the repetitions
    rng, violations = np.random.default_rng(0), 0
    for _ in range(300):
        large = rng.random(1000) < 0.86
        small = large & (rng.random(1000) < 0.80 / 0.86)
        outcomes = matrix(np.column_stack([small, large]).astype(float).tolist())
        replayed = replay(
            "s",
            one_model_each(np.array([[1] * 1000, [0] * 1000]), 2, np.array([0.0, 1.0])),
            outcomes,
            overhead=Overhead(),
        )
        violations += GuaranteedRetention(target=0.95, delta=0.1, seed=0).choose(replayed, outcomes).position == 1
    assert violations / 300 <= 0.1


def test_a_guaranteed_share_of_small_calls_takes_the_most_expensive_threshold_that_is_sure_to_keep_it():
    many = matrix([[1, 1]] * 2000)
    large_on = np.array([[1] * 2000, [0] * 1200 + [1] * 800, [0] * 1900 + [1] * 100, [0] * 2000])
    replayed = replay("s", one_model_each(large_on, 2, np.linspace(0, 1, 4)), many, overhead=Overhead())
    # small shares 0, .6, .95 and 1
    assert GuaranteedBudget("small_share", target=0.7, delta=0.05, seed=0).choose(replayed, many).position == 2
    assert GuaranteedBudget("small_share", target=0.5, delta=0.05, seed=0).choose(replayed, many).position == 1
    # costs 10, 4.6, 1.45 and 1 of 10
    assert GuaranteedBudget("cost", target=0.5, delta=0.05, seed=0).choose(replayed, many).position in (1, 2)
    assert GuaranteedBudget("cost", target=0.3, delta=0.05, seed=0).choose(replayed, many).position == 2
    none = GuaranteedBudget("cost", target=0.05, delta=0.05, seed=0).choose(replayed, many)
    assert none.position == 3 and "no threshold is certified" in none.reason


def test_a_budget_of_something_else_is_refused():
    with pytest.raises(ValueError, match="allowed is cost or small_share"):
        GuaranteedBudget("joy", target=0.5, delta=0.05, seed=0).choose(_replayed(LARGE_ON), OUTCOMES)
