"""Vectors with a threshold."""

import numpy as np
import pytest

from slm_orchestration.serving.cache.certificate import FalseHitBudget
from slm_orchestration.studies.vector_cache import HashedNgrams, VectorCache, certified_cosine


def test_the_nearest_vector_is_served_from_the_threshold_on():
    cache = VectorCache(0.6)
    assert cache.find(np.array([1.0, 0.0])) is None
    cache.add(np.array([1.0, 0.0]), "one")
    cache.add(np.array([0.0, 1.0]), "two")
    assert cache.find(np.array([0.8, 0.6])) == "one"
    assert cache.find(np.array([0.5, 0.5])) is None


def test_a_cosine_is_certified_only_while_the_binomial_test_rejects_the_budget():
    # 400 pairs, of which 1 hits above 0.9 and 100 above 0.8; budget 2 %: P(Bin(400, .02) <= 1) = .0028, P(<= 100) ~ 1.
    similarity = np.array([0.95] + [0.85] * 99 + [0.1] * 300)
    assert certified_cosine(similarity, FalseHitBudget(0.02)) == pytest.approx(0.855)
    assert certified_cosine(similarity[:50], FalseHitBudget(0.02)) is None  # too few pairs to say anything


def test_encoded_texts_have_unit_length():
    assert np.linalg.norm(HashedNgrams().encode(["some words", "other words"]), axis=1) == pytest.approx([1, 1])
