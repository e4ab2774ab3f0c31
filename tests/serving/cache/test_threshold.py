"""The certified threshold of the semantic cache and the pairs of requests that it is calibrated on."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.serving.cache.threshold import (
    FalseHitBudget,
    adversarial_pairs,
    cache_threshold,
    certify_threshold,
    hit_rates,
    paraphrases,
)

QUESTION = "Is Alice taller than Bob if Bob is 180 cm tall?"


def test_equal_seeds_make_equal_pairs_and_every_rule_changes_the_text():
    texts = [QUESTION, "The tower stands north of Paris. Which is the height of the tower in 1990?"]
    first = adversarial_pairs(texts, ["a", "b"], rng=np.random.default_rng(1))
    assert first == adversarial_pairs(texts, ["a", "b"], rng=np.random.default_rng(1))
    assert {pair.kind for pair in first} == {"negation", "number", "name", "reversal", "word", "opposite"}
    assert all(pair.text != pair.other and not pair.same for pair in first)
    assert all(pair.same for pair in paraphrases(texts, ["a", "b"], rng=np.random.default_rng(1)))


def test_a_threshold_is_certified_only_while_the_binomial_test_rejects_the_budget():
    # 400 pairs, of which 1 hits above 0.9 and 100 above 0.8; budget 2 %: P(Bin(400, .02) <= 1) = .0028, P(<= 100) ~ 1.
    similarity = np.array([0.95] + [0.85] * 99 + [0.1] * 300)
    none = np.zeros(400, dtype=bool)
    assert certify_threshold(similarity, none, FalseHitBudget(0.02)).value == pytest.approx(0.855)
    assert certify_threshold(similarity, similarity > 0.8, FalseHitBudget(0.02)).value == pytest.approx(0.5)
    assert (
        certify_threshold(similarity[:50], none[:50], FalseHitBudget(0.02)).value is None
    )  # too few pairs to say anything


def test_rates_count_hits_per_kind_with_and_without_the_guard():
    pairs = pd.DataFrame(
        {"kind": ["number", "number", "name"], "similarity": [0.9, 0.7, 0.9], "difference": [None, "numbers", None]}
    )
    plain = hit_rates(pairs, np.array([0.6, 0.8]), guarded=False).set_index(["kind", "threshold"])
    guarded = hit_rates(pairs, np.array([0.6, 0.8]), guarded=True).set_index(["kind", "threshold"])
    assert plain["hits"].to_dict() == {("name", 0.6): 1, ("name", 0.8): 1, ("number", 0.6): 2, ("number", 0.8): 1}
    assert guarded.loc[("number", 0.6), "hits"] == 1
    assert cache_threshold(pairs, FalseHitBudget(), guarded=True).value is None
