"""Texts as vectors for the semantic cache, and the index that finds the nearest one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, HashingVectorizer
from usearch.index import Index


class Encoder(Protocol):
    """Turns texts into unit vectors, so that products are cosines."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return texts × dimensions."""
        ...


@dataclass
class HashedNgrams:
    """Counts of character trigrams within words, hashed with signs: no weights, nothing fitted, well under 1 ms.

    Source: Weinberger et al. 2009, feature hashing.
    """

    dimensions: int = 512
    name = "hashed"
    _hashing: HashingVectorizer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._hashing = HashingVectorizer(
            analyzer="char_wb", ngram_range=(3, 3), n_features=self.dimensions, norm="l2", alternate_sign=True
        )

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return texts × dimensions, each of length 1 (0 for a text without a letter)."""
        return self._hashing.transform(texts).toarray().astype(np.float32)


def encoder_named(name: str) -> Encoder:
    """Return the encoder "hashed" or "minilm"; the latter's weights are loaded by its first call."""
    if name == "minilm":
        from slm_orchestration.models.encoder import SentenceEncoder

        return SentenceEncoder()
    return HashedNgrams()


_CANDIDATES = 32  # of a search: half the time of 64, usearch's default, for 0.4 points of recall in 30,000 vectors


class VectorIndex:
    """The nearest vectors by cosine, in memory: an HNSW graph (usearch; Malkov and Yashunin 2018)."""

    def __init__(self, dimensions: int) -> None:
        self._index = Index(ndim=dimensions, metric="ip", dtype="f16", expansion_search=_CANDIDATES)

    def __len__(self) -> int:
        return len(self._index)

    def add(self, keys: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Add vectors under keys that are not in use."""
        self._index.add(np.asarray(keys, dtype=np.uint64), vectors)

    def remove(self, key: int) -> None:
        """Remove the vector of `key`, if there is one."""
        if key in self._index:
            self._index.remove(key)

    def __contains__(self, key: int) -> bool:
        return key in self._index

    def nearest(self, vector: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
        """Return up to `count` (key, cosine), nearest first; the graph may miss a neighbour now and then."""
        if not len(self._index):
            return []
        found = self._index.search(vector, count)
        return [(int(key), 1.0 - float(distance)) for key, distance in zip(found.keys, found.distances, strict=True)]


# ========== What vectors cannot see: two texts with other numbers, names, negations or another order ask different things.
#
# A rule on words, without a model. It errs towards calling texts different: a miss costs a call, a false hit an answer.
#
_WORD = re.compile(r"[^\W_]+(?:[.,:/'][^\W_]+)*")
_SYMBOL = re.compile(r"!=|[-+*/=<>^%&|~$€£,;(){}\[\]]+")
_NUMBER_WORDS = frozenset((
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty",
    "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "thousand", "million", "billion", "half",
    "double", "twice", "triple", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth",
    "ninth", "tenth", "dozen",
))  # fmt: skip
_NEGATIONS = frozenset((
    "not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "without", "except", "unless", "false",
    "untrue", "incorrect", "wrong", "fail", "fails", "failed", "lack", "lacks", "impossible", "unable",
))  # fmt: skip
# What people put around a question without asking anything else.
_COURTESIES = frozenset((
    "answer", "help", "hello", "hi", "know", "like", "please", "question", "tell", "thank", "thanks",
))  # fmt: skip
_EMPTY = ENGLISH_STOP_WORDS | _COURTESIES
# Exchanging one of these for its opposite turns the question round.
POLAR = (
    ("more", "less"), ("before", "after"), ("above", "below"), ("increase", "decrease"), ("left", "right"),
    ("greater", "smaller"), ("larger", "smaller"), ("higher", "lower"), ("first", "last"), ("all", "some"),
    ("most", "least"), ("maximum", "minimum"), ("earlier", "later"), ("always", "sometimes"), ("north", "south"),
    ("east", "west"), ("ascending", "descending"), ("buy", "sell"), ("add", "remove"), ("true", "false"),
    ("longest", "shortest"), ("largest", "smallest"), ("older", "younger"), ("taller", "shorter"), ("and", "or"),
    ("likely", "unlikely"), ("even", "odd"), ("old", "young"), ("hot", "cold"), ("inside", "outside"),
)  # fmt: skip
_POLAR_WORDS = frozenset(word for pair in POLAR for word in pair)


@dataclass(frozen=True)
class _Sense:
    numbers: tuple[str, ...]
    negations: int
    symbols: tuple[str, ...]
    polar: tuple[str, ...]
    names: frozenset[str]
    content: tuple[str, ...]


def difference(one: str, other: str) -> str | None:
    """Return why two texts may ask for different answers, or None where this rule finds nothing.

    Numbers, negations, symbols and words with an opposite must be the same in the same order, and a name in one text
    must be in the other. Of the other words, stop words and courtesies apart, one text may have more than the other,
    but not both what the other lacks; and those that both have must be in the same order.
    """
    first, second = _sense(one), _sense(other)
    for kind in ("numbers", "negations", "symbols", "polar"):
        if getattr(first, kind) != getattr(second, kind):
            return kind
    words, others = frozenset(first.content) - _COURTESIES, frozenset(second.content) - _COURTESIES
    if first.names - others or second.names - words:
        return "names"
    if words - others and others - words:
        return "words"
    common = frozenset(first.content) & frozenset(second.content)
    if [w for w in first.content if w in common] != [w for w in second.content if w in common]:
        return "order"
    return None


@lru_cache(maxsize=4096)
def _sense(text: str) -> _Sense:
    spelled = re.sub(r"n't\b", " not", text.replace("’", "'"))
    spelled = re.sub(r"\b(ca|can|wo) ?not\b", r"can not", spelled, flags=re.IGNORECASE)
    found = [word.removesuffix("'s") for word in _WORD.findall(spelled)]
    words = [word.casefold() for word in found]
    content = tuple(word for word in words if word not in ENGLISH_STOP_WORDS)
    return _Sense(
        numbers=tuple(word for word in words if word in _NUMBER_WORDS or any(map(str.isdigit, word))),
        negations=sum(word in _NEGATIONS for word in words),
        symbols=tuple(_SYMBOL.findall(spelled)),
        polar=tuple(word for word in words if word in _POLAR_WORDS),
        names=frozenset(word.casefold() for word in found if word[0].isupper()) - _EMPTY,
        content=content,
    )
