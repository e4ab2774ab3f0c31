"""Pairs made by rule: each rule changes its text, and none shares a list with the guard."""

import re
from pathlib import Path

import numpy as np

from slm_orchestration.serving.cache import guard, pairs
from slm_orchestration.serving.cache.pairs import different_pairs, paraphrases

TEXTS = [
    "Is Alice taller than Bob if Bob is 180 cm tall? Answer yes or no.",
    "The tower stands north of Paris, near the river. Which is the height of the tower in 1990?",
]


def test_equal_seeds_make_equal_pairs_and_every_rule_changes_the_text():
    first = different_pairs(TEXTS, ["a", "b"], rng=np.random.default_rng(1))
    assert first == different_pairs(TEXTS, ["a", "b"], rng=np.random.default_rng(1))
    learned = {"negation", "number", "name", "reversal", "word", "opposite"}
    assert {pair.kind for pair in first if not pair.held_out} == learned
    assert len({pair.kind for pair in first if pair.held_out}) == 15
    assert all(pair.text != pair.other and not pair.same for pair in first)
    assert all(pair.same for pair in paraphrases(TEXTS, ["a", "b"], rng=np.random.default_rng(1)))


def test_the_ends_of_long_texts_differ_after_thousands_of_shared_characters():
    long = [pair for pair in different_pairs(TEXTS, ["a", "b"], rng=np.random.default_rng(1)) if "long" in pair.kind]
    assert len(long) == 2
    assert all(pair.text[:4000] == pair.other[:4000] and pair.text != pair.other for pair in long)


def test_the_generator_and_the_guard_import_nothing_from_each_other():
    for module, other in ((guard, "pairs"), (pairs, "guard")):
        imported = re.findall(r"^from (\S+) import|^import (\S+)", Path(module.__file__).read_text(), re.MULTILINE)
        assert not any(other in name for names in imported for name in names)
