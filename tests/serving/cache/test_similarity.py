"""The guard on words: which differences between similar requests it finds."""

import pytest

from slm_orchestration.serving.cache.similarity import difference

QUESTION = "Is Alice taller than Bob if Bob is 180 cm tall?"


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        ("Is Alice not taller than Bob if Bob is 180 cm tall?", "negations"),
        ("Isn't Alice taller than Bob if Bob is 180 cm tall?", "negations"),
        ("Is Alice taller than Bob if Bob is 108 cm tall?", "numbers"),
        ("Is Carol taller than Bob if Bob is 180 cm tall?", "names"),
        ("Is Bob taller than Alice if Bob is 180 cm tall?", "order"),
        ("Is Alice shorter than Bob if Bob is 180 cm tall?", "antonyms"),
        ("Is Alice taller than Bob if Bob is 180 cm wide?", "words"),
        ("Is Alice taller than Bob if Bob is 180 cm tall + 1?", "numbers"),
    ],
)
def test_the_guard_names_the_kind_of_difference(other, kind):
    assert difference(QUESTION, other) == kind


def test_the_guard_allows_courtesies_and_contractions():
    assert difference("What is the square of 7?", "Please answer: What's the square of 7? Thanks!") is None
