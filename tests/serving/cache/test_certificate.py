"""The certificate: an exact binomial test on pairs that must not hit."""

import pytest

from slm_orchestration.serving.cache.certificate import FalseHitBudget, certify, hits
from slm_orchestration.serving.cache.pairs import TextPair


def _pairs(false, count):
    """Return `count` pairs of which `false` differ only in what the guard rewrites."""
    return [
        TextPair(n, "g", "k", False, f"Explain a{n}", f"Please explain a{n}" if n < false else f"Explain b{n}", False)
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("false", "count", "granted"),
    # budget 2 %: P(Bin(200, .02) = 0) = .0176, P(Bin(100, .02) = 0) = .133, P(Bin(400, .02) <= 4) = .097, <= 3: .041
    [(0, 200, True), (0, 100, False), (4, 400, False), (3, 400, True)],
)
def test_the_budget_is_certified_only_where_the_binomial_test_rejects_more(false, count, granted):
    certificate = certify(_pairs(false, count), FalseHitBudget(0.02))
    assert (certificate.granted, certificate.hits, certificate.pairs) == (granted, false, count)
    assert str(certificate).startswith("certified" if granted else "not certified")


def test_a_pair_hits_if_the_guard_gives_both_one_form():
    assert [hits(pair) for pair in _pairs(1, 2)] == [True, False]
