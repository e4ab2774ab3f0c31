"""The certificate of the semantic cache: at most a budget of false hits on pairs of different requests.

The pairs are made from tasks by rule (pairs.py) and must not hit. A changed request counts as one with another
answer; some changes keep the answer, so false-hit rates are conservative. The guarantee holds for pairs like these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from slm_orchestration.serving.cache.guard import canonical_text
from slm_orchestration.serving.cache.pairs import TextPair, different_pairs
from slm_orchestration.statistics.guarantees import certified


@dataclass(frozen=True)
class FalseHitBudget:
    """At most a share `false_hits` of pairs of different requests may hit, with probability 1 - `delta`."""

    false_hits: float = 0.01
    delta: float = 0.05


@dataclass(frozen=True)
class Certificate:
    """Whether the budget is certified, by how many hits among how many pairs of different requests."""

    granted: bool
    hits: int
    pairs: int
    budget: FalseHitBudget

    def __str__(self) -> str:
        about = f"at most {self.budget.false_hits:.1%} false hits with probability {1 - self.budget.delta:.0%}"
        return f"{'certified' if self.granted else 'not certified'}: {about} ({self.hits} of {self.pairs} pairs hit)"


def hits(pair: TextPair) -> bool:
    """Return whether the semantic cache serves one request of a pair the answer to the other."""
    return canonical_text(pair.text) == canonical_text(pair.other)


def certify(pairs: Sequence[TextPair], budget: FalseHitBudget) -> Certificate:
    """Return the certificate: the exact binomial test of "more than the budget of these pairs hit"."""
    count = sum(map(hits, pairs))
    p_value = binom.cdf(count, len(pairs), budget.false_hits)
    return Certificate(bool(certified(np.array([p_value]), delta=budget.delta)), count, len(pairs), budget)


def certify_on(
    texts: Sequence[str], groups: Sequence[str], budget: FalseHitBudget, *, rng: np.random.Generator
) -> Certificate:
    """Return the certificate on pairs made from `texts`."""
    return certify(different_pairs(texts, groups, rng=rng), budget)
