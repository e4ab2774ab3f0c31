"""A cache by vectors alone, to compare the live cache with: the nearest request hits if its cosine reaches a threshold.

Vectors cannot tell "is" from "is not" or 108 from 180. The study of the cache measures what that costs; the live cache
has a guard against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.feature_extraction.text import HashingVectorizer

from slm_orchestration.serving.cache.certificate import FalseHitBudget
from slm_orchestration.statistics.guarantees import certified

_GRID = np.round(np.linspace(1.0, 0.5, 101), 3)


class Encoder(Protocol):
    """Encodes texts as unit vectors, so that their dot products are cosines."""

    @property
    def name(self) -> str: ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return an array of texts × dimensions."""
        ...


@dataclass
class HashedNgrams:
    """Signed hashed counts of character trigrams within words: no weights, no fit, well under 1 ms per text.

    Source: Weinberger et al. 2009, Feature hashing for large scale multitask learning.
    """

    dimensions: int = 512
    name = "hashed"
    _hashing: HashingVectorizer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._hashing = HashingVectorizer(
            analyzer="char_wb", ngram_range=(3, 3), n_features=self.dimensions, norm="l2", alternate_sign=True
        )

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return an array of texts × dimensions, rows of length 1 (0 for a text without letters)."""
        return self._hashing.transform(texts).toarray().astype(np.float32)


def encoder_named(name: str) -> Encoder:
    """Return the encoder "hashed" or "minilm"; the first call of "minilm" loads its weights."""
    if name == "minilm":
        from slm_orchestration.models.encoder import SentenceEncoder

        return SentenceEncoder()
    return HashedNgrams()


@dataclass
class VectorCache:
    """Answers by vector, without a guard: the nearest one is served if its cosine reaches `threshold`."""

    threshold: float
    _vectors: list[NDArray[np.float32]] = field(default_factory=list, init=False, repr=False)
    _answers: list[str] = field(default_factory=list, init=False, repr=False)

    def find(self, vector: NDArray[np.float32]) -> str | None:
        """Return the answer of the nearest vector, or None if it is too far away."""
        if not self._vectors:
            return None
        cosines = np.array(self._vectors) @ vector
        nearest = int(cosines.argmax())
        return self._answers[nearest] if cosines[nearest] >= self.threshold else None

    def add(self, vector: NDArray[np.float32], answer: str) -> None:
        """Add an answer."""
        self._vectors.append(vector)
        self._answers.append(answer)


def certified_cosine(similarity: NDArray[np.float64], budget: FalseHitBudget) -> float | None:
    """Return the smallest cosine at which at most the budget of pairs of different requests hits, or None.

    Learn-then-Test with a fixed sequence from 1.0 downwards and exact binomial p-values.
    Source: Angelopoulos et al. 2021, Learn then Test.
    """
    count = (similarity[None] >= _GRID[:, None]).sum(axis=1)
    passed = certified(binom.cdf(count, len(similarity), budget.false_hits), delta=budget.delta)
    return float(_GRID[passed - 1]) if passed else None
