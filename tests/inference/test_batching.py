import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_orchestration.outcomes.collect import plan


def test_tasks_of_like_length_share_a_batch_up_to_the_budget():
    assert plan([10, 90, 12, 88], [1, 1, 1, 1], token_budget=182) == [[0, 2], [3, 1]]


def test_padding_counts_against_the_budget():
    # Alone they take 11 + 51 = 62 tokens, but padded to the longer one they take 102.
    assert plan([10, 50], [1, 1], token_budget=100) == [[0], [1]]


def test_choices_and_long_answers_do_not_share_a_batch():
    assert plan([10, 10, 10], [1, 100, 1], token_budget=10_000) == [[0, 2], [1]]


def test_a_task_beyond_the_budget_still_gets_a_batch():
    assert plan([500], [100], token_budget=100) == [[0]]


def test_an_impossible_budget_is_refused():
    with pytest.raises(ValueError, match="token_budget is 0"):
        plan([1], [1], token_budget=0)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300))), st.integers(1, 3000))
def test_every_task_is_in_one_batch_and_no_shared_batch_exceeds_the_budget(lengths, budget):
    batches = plan([prompt for prompt, _ in lengths], [new for _, new in lengths], token_budget=budget)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(sum(lengths[place]) for place in batch) <= budget
