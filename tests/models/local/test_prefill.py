from hypothesis import given
from hypothesis import strategies as st

from slm_orchestration.models.local.prefill import PrefillBatch, prefill_batches, shared_prefix_length

LONG = list(range(10))


def test_a_shared_prefix_leaves_every_prompt_a_last_token_of_its_own():
    assert shared_prefix_length([[*LONG, 1, 2], [*LONG, 3], [*LONG, 1, 4]]) == 10
    assert shared_prefix_length([LONG, [*LONG, 1]]) == 9


def test_a_short_prefix_or_a_single_prompt_shares_nothing():
    assert shared_prefix_length([[1, 2, 3], [1, 2, 4]]) == 0
    assert shared_prefix_length([LONG]) == 0


def test_a_prefill_batch_holds_prompts_of_one_prefix_group_longest_first_within_its_tokens():
    prompts = [[*LONG, 5], [*LONG, 6, 6, 6], [*LONG, 7, 7], [1, 2]]
    # Without the ten shared tokens the first group is 3, 2 and 1 wide: two rows of 3 fit into 7 tokens.
    batches = prefill_batches(prompts, ["a", "a", "a", "b"], max_tokens=7, max_prompts=8)
    assert batches == [PrefillBatch([1, 2], 10), PrefillBatch([0], 10), PrefillBatch([3], 0)]


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=30)), st.integers(1, 60), st.integers(1, 5))
def test_every_prompt_is_prefilled_once_and_no_batch_exceeds_its_limits(prompts, tokens, rows):
    groups = [str(len(prompt) % 2) for prompt in prompts]
    batches = prefill_batches(prompts, groups, max_tokens=tokens, max_prompts=rows)
    assert sorted(index for batch in batches for index in batch.indices) == list(range(len(prompts)))
    for batch in batches:
        width = max(len(prompts[index]) for index in batch.indices) - batch.prefix_length
        assert width > 0
        assert len(batch.indices) == 1 or (len(batch.indices) <= rows and len(batch.indices) * width <= tokens)
