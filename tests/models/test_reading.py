from hypothesis import given
from hypothesis import strategies as st

from slm_orchestration.models.local.prefill import Portion, portions, shared_tokens

LONG = list(range(10))


def test_prompts_share_the_tokens_that_all_begin_with_but_keep_one_of_their_own():
    assert shared_tokens([[*LONG, 1, 2], [*LONG, 3], [*LONG, 1, 4]]) == 10
    assert shared_tokens([LONG, [*LONG, 1]]) == 9


def test_a_short_beginning_or_a_single_prompt_shares_nothing():
    assert shared_tokens([[1, 2, 3], [1, 2, 4]]) == 0
    assert shared_tokens([LONG]) == 0


def test_a_portion_holds_prompts_of_one_kind_longest_first_within_its_tokens():
    prompts = [[*LONG, 5], [*LONG, 6, 6, 6], [*LONG, 7, 7], [1, 2]]
    # Without the ten shared tokens the first kind is 3, 2 and 1 wide: two rows of 3 fit into 7 tokens.
    cut = portions(prompts, ["a", "a", "a", "b"], tokens=7, rows=8)
    assert cut == [Portion([1, 2], 10), Portion([0], 10), Portion([3], 0)]


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=30)), st.integers(1, 60), st.integers(1, 5))
def test_every_prompt_is_read_once_and_no_portion_exceeds_its_bounds(prompts, tokens, rows):
    cut = portions(prompts, [str(len(prompt) % 2) for prompt in prompts], tokens, rows)
    assert sorted(place for portion in cut for place in portion.places) == list(range(len(prompts)))
    for portion in cut:
        width = max(len(prompts[place]) for place in portion.places) - portion.shared
        assert width > 0
        assert len(portion.places) == 1 or (len(portion.places) <= rows and len(portion.places) * width <= tokens)
