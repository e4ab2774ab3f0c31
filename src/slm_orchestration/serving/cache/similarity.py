"""Similarity of requests for the semantic cache: encoders, a nearest-neighbour index, and a guard on words.

Vectors cannot tell "is" from "is not" or 108 from 180. The guard compares numbers, names, negations and word order by
rule, without a model. It prefers to call texts different: a miss costs a call, a false hit an answer.
"""

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
    """Encodes texts as unit vectors, so that their dot products are cosines."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

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


_EXPANSION = 32  # half the time of usearch's default, 64, for 0.4 points of recall in 30,000 vectors


class VectorIndex:
    """Approximate nearest neighbours by cosine, in memory: an HNSW graph (usearch; Malkov and Yashunin 2018)."""

    def __init__(self, dimensions: int) -> None:
        self._index = Index(ndim=dimensions, metric="ip", dtype="f16", expansion_search=_EXPANSION)

    def __len__(self) -> int:
        return len(self._index)

    def add(self, keys: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Add vectors under keys that are not in use."""
        self._index.add(np.asarray(keys, dtype=np.uint64), vectors)

    def remove(self, key: int) -> None:
        """Remove the vector of `key` if there is one."""
        if key in self._index:
            self._index.remove(key)

    def __contains__(self, key: int) -> bool:
        return key in self._index

    def nearest(self, vector: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
        """Return up to `count` pairs (key, cosine), nearest first; the graph is approximate and may miss one."""
        if not len(self._index):
            return []
        found = self._index.search(vector, count)
        return [(int(key), 1.0 - float(distance)) for key, distance in zip(found.keys, found.distances, strict=True)]


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
# Words around a question that do not change it.
_COURTESIES = frozenset((
    "answer", "help", "hello", "hi", "know", "like", "please", "question", "tell", "thank", "thanks",
))  # fmt: skip
_UNINFORMATIVE = ENGLISH_STOP_WORDS | _COURTESIES
# Exchanging a word of a pair for the other reverses the question.
ANTONYMS = (
    ("more", "less"), ("before", "after"), ("above", "below"), ("increase", "decrease"), ("left", "right"),
    ("greater", "smaller"), ("larger", "smaller"), ("higher", "lower"), ("first", "last"), ("all", "some"),
    ("most", "least"), ("maximum", "minimum"), ("earlier", "later"), ("always", "sometimes"), ("north", "south"),
    ("east", "west"), ("ascending", "descending"), ("buy", "sell"), ("add", "remove"), ("true", "false"),
    ("longest", "shortest"), ("largest", "smallest"), ("older", "younger"), ("taller", "shorter"), ("and", "or"),
    ("likely", "unlikely"), ("even", "odd"), ("old", "young"), ("hot", "cold"), ("inside", "outside"),
)  # fmt: skip
_ANTONYM_WORDS = frozenset(word for pair in ANTONYMS for word in pair)


@dataclass(frozen=True)
class _Words:
    numbers: tuple[str, ...]
    negations: int
    symbols: tuple[str, ...]
    antonyms: tuple[str, ...]
    names: frozenset[str]
    content: tuple[str, ...]


def difference(one: str, other: str) -> str | None:
    """Return why two texts may have different answers, or None where the rule finds no difference.

    Numbers, negations, symbols and antonyms must be equal and in the same order, and a name in one text must be in the
    other. Of the other content words one text may have more than the other, but not each some that the other lacks, and
    the common ones must be in the same order.
    """
    first, second = _parse(one), _parse(other)
    for kind in ("numbers", "negations", "symbols", "antonyms"):
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
def _parse(text: str) -> _Words:
    spelled = re.sub(r"n't\b", " not", text.replace("’", "'"))
    spelled = re.sub(r"\b(ca|can|wo) ?not\b", r"can not", spelled, flags=re.IGNORECASE)
    found = [word.removesuffix("'s") for word in _WORD.findall(spelled)]
    words = [word.casefold() for word in found]
    content = tuple(word for word in words if word not in ENGLISH_STOP_WORDS)
    return _Words(
        numbers=tuple(word for word in words if word in _NUMBER_WORDS or any(map(str.isdigit, word))),
        negations=sum(word in _NEGATIONS for word in words),
        symbols=tuple(_SYMBOL.findall(spelled)),
        antonyms=tuple(word for word in words if word in _ANTONYM_WORDS),
        names=frozenset(word.casefold() for word in found if word[0].isupper()) - _UNINFORMATIVE,
        content=content,
    )
