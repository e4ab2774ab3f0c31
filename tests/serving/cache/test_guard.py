"""The guard: what it rewrites is stated, and whatever it does not know is a difference."""

import pytest

from slm_orchestration.serving.cache.guard import canonical, canonical_text
from tests.serving.cache.adversarial import DIFFERENT, PARAPHRASES


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the height of the tower?", " What is the height of the tower? "),
        ("Explain photosynthesis.", "Explain photosynthesis"),
        ("Where is the Caf\u00e9 Central?", "Where is the Cafe\u0301 Central?"),
        ("What is the height of the tower?", "Hello, what's the height of the tower?"),
        ("Explain photosynthesis.", "Could you please explain photosynthesis?"),
        ("Is Alice older than Bob?", "Question: Is Alice older than Bob?"),
        ("Explain this code:\n  x = 1", "Please explain this code:\n  x = 1"),
    ],
)
def test_what_cannot_matter_is_rewritten(one, other):
    assert canonical_text(one) == canonical_text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # the text speaks about its own wording
        ("How many letters does what's the time have?", "How many letters does what is the time have?"),
        ("Count the characters of this sentence.", "Count the characters of this sentence"),
        ("Please translate hello into French.", "Translate hello into French."),
        # the opening belongs to what is asked
        ("Hello, Goodbye is by which band?", "Goodbye is by which band?"),
        ("Please Me is by which band?", "Me is by which band?"),
        ("Can you give blood with a cold?", "Give blood with a cold."),
        # blanks, lines and capitals inside
        ("What is a  b?", "What is a b?"),
        ("if x:\n    y", "if x:\ny"),
        ("Is WHO in Geneva?", "Is who in Geneva?"),
    ],
)
def test_what_could_matter_is_kept(one, other):
    assert canonical_text(one) != canonical_text(other)


def test_only_the_last_message_of_the_user_is_rewritten_and_nothing_after_a_message_about_wording():
    system = {"role": "system", "content": "You are a geographer."}
    polite = {"role": "user", "content": "Hello, what is the height of the tower?"}
    assert canonical([system, polite])[0] == system
    assert canonical([system, polite])[1]["content"] == "what is the height of the tower?"
    assert canonical([polite, system, polite])[0] == polite
    strict = {"role": "system", "content": "Answer only those who say hello."}
    assert canonical([strict, polite]) == [strict, polite]
    assert canonical([polite, {"role": "assistant", "content": "Hello, what is"}])[1]["content"] == "Hello, what is"


def test_a_canonical_form_is_its_own_canonical_form():
    for one, other in [*DIFFERENT, *PARAPHRASES]:
        for text in (one, other):
            assert canonical_text(canonical_text(text)) == canonical_text(text)


def test_no_pair_of_the_adversarial_set_hits():
    assert len(DIFFERENT) >= 200 and len({kind for kind in DIFFERENT.values()}) >= 20
    wrong = [pair for pair in DIFFERENT if canonical_text(pair[0]) == canonical_text(pair[1])]
    assert not wrong, wrong


def test_some_paraphrases_still_hit():
    """A fact, not a goal: the guard proves sameness for few of them (docs/orchestrator.md gives the share)."""
    hits = {kind: 0 for kind in PARAPHRASES.values()}
    for (one, other), kind in PARAPHRASES.items():
        hits[kind] += canonical_text(one) == canonical_text(other)
    assert hits["polite opening"] > 0
    assert hits["synonym"] == hits["reordered"] == 0
