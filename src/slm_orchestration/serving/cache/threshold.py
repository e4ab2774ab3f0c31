"""Certify the threshold of a semantic cache: at most a budget of false hits, with a guarantee.

It is calibrated on pairs of requests that are made from tasks by rule and must not hit, and on nearest neighbours. A
changed request counts as one with another answer; some changes keep the answer, so false-hit rates here are
conservative.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from slm_orchestration.serving.cache.similarity import ANTONYMS, Encoder, difference
from slm_orchestration.statistics.guarantees import certified

_GRID = np.round(np.linspace(1.0, 0.5, 101), 3)


@dataclass(frozen=True)
class FalseHitBudget:
    """At most a share `false_hits` of pairs of different requests may hit, with probability 1 - `delta`."""

    false_hits: float = 0.01
    delta: float = 0.05


@dataclass(frozen=True)
class CertifiedThreshold:
    """The smallest certified threshold, or None if not even 1.0 is certified, and the number of calibration pairs."""

    value: float | None
    pairs: int


def certify_threshold(
    similarity: NDArray[np.float64], refused: NDArray[np.bool_], budget: FalseHitBudget
) -> CertifiedThreshold:
    """Return the smallest threshold at which at most `budget.false_hits` of pairs of different requests hit.

    `similarity` holds the cosines of such pairs, `refused` which of them the guard refuses. Learn-then-Test with a
    fixed sequence from 1.0 downwards: at each threshold the exact binomial p-value of the hypothesis that more than the
    budget hit, until one is not rejected. The guarantee holds for pairs exchangeable with these.
    Source: Angelopoulos et al. 2021, Learn then Test.
    """
    hits = (similarity[None] >= _GRID[:, None]) & ~refused[None]
    p_values = binom.cdf(hits.sum(axis=1), len(similarity), budget.false_hits)
    count = certified(p_values, delta=budget.delta)
    return CertifiedThreshold(float(_GRID[count - 1]) if count else None, len(similarity))


def text_pairs(
    texts: Sequence[str], groups: Sequence[str], encoder: Encoder, *, rng: np.random.Generator
) -> pd.DataFrame:
    """Return pairs made from the texts by rule, and each text paired with its nearest neighbour.

    The columns are group, kind (paraphrase, neighbour, or the rule that made the texts differ), difference (what the
    guard found, or null) and similarity.
    """
    pairs = adversarial_pairs(texts, groups, rng=rng) + paraphrases(texts, groups, rng=rng)
    vectors, changed = encoder.encode(texts), encoder.encode([pair.other for pair in pairs])
    similarity = (vectors[[pair.place for pair in pairs]] * changed).sum(axis=1)
    rows = [(pair.group, pair.kind, difference(pair.other, pair.text)) for pair in pairs]
    between = vectors @ vectors.T
    between[np.equal.outer(np.array(texts, dtype=object), np.array(texts, dtype=object))] = -1.0
    nearest = between.argmax(axis=1)
    rows += [(groups[row], "neighbour", difference(texts[row], texts[near])) for row, near in enumerate(nearest)]
    frame = pd.DataFrame(rows, columns=["group", "kind", "difference"])
    return frame.assign(similarity=np.concatenate([similarity, between.max(axis=1)]).astype(float))


def cache_threshold(pairs: pd.DataFrame, budget: FalseHitBudget, *, guarded: bool) -> CertifiedThreshold:
    """Return the threshold certified on the pairs of different requests: all kinds but paraphrases."""
    different = pairs[pairs["kind"] != "paraphrase"]
    refused = different["difference"].notna().to_numpy() & guarded
    return certify_threshold(different["similarity"].to_numpy(), refused, budget)


def hit_rates(pairs: pd.DataFrame, thresholds: NDArray[np.float64], *, guarded: bool) -> pd.DataFrame:
    """Return per kind of pair and threshold how many hit: kind, threshold, guarded, hits, pairs.

    `pairs` has the columns kind, similarity and difference.
    """
    kept = pairs["difference"].isna() if guarded else pd.Series(True, index=pairs.index)
    parts = []
    for kind, rows in pairs.groupby("kind", sort=True):
        served = rows["similarity"].to_numpy()[kept[rows.index].to_numpy()]
        hits = (served[None] >= thresholds[:, None]).sum(axis=1)
        parts.append(
            pd.DataFrame({"kind": kind, "threshold": thresholds, "guarded": guarded, "hits": hits, "pairs": len(rows)})
        )
    return pd.concat(parts, ignore_index=True)


_AUXILIARY = re.compile(
    r"\b(is|are|was|were|does|do|did|can|could|will|would|has|have|had|should|must|may)\b(?! not\b|n't)", re.IGNORECASE
)
_NUMBER = re.compile(r"(?<![\w.])\d{1,9}(?![\w.]*\d)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b")
_PLAIN = rf"(?!(?i:{'|'.join(sorted(ENGLISH_STOP_WORDS))})\b)"  # the next word is not a stop word
_RELATION = re.compile(
    rf"\b{_PLAIN}([A-Za-z]{{3,}})((?: is| are)? \w+ than | before | after | from | to | of ){_PLAIN}([A-Za-z]{{3,}})\b"
)
_WORD = re.compile(rf"(?<= ){_PLAIN}[a-z]{{5,}}\b")
_OPPOSITE = {one: other for pair in ANTONYMS for one, other in (pair, pair[::-1])}
_ANTONYM = re.compile(rf"\b({'|'.join(sorted(_OPPOSITE))})\b", re.IGNORECASE)
_SPELLING = {"What is": "What's", "do not": "don't", "does not": "doesn't", "is not": "isn't", "cannot": "can't"}
_OPENINGS = ("Please answer: ", "Could you help me with this? ", "I would like to know: ", "Question: ")
_ENDINGS = (" Thanks!", " Thank you.", " Please help.")


@dataclass(frozen=True)
class TextPair:
    """Two requests; `same` says whether they have the same answer. `place` is the index of the text in its list."""

    place: int
    group: str
    kind: str
    text: str
    other: str
    same: bool


def adversarial_pairs(texts: Sequence[str], groups: Sequence[str], *, rng: np.random.Generator) -> list[TextPair]:
    """Return up to six pairs of different requests per text: one for each rule that applies to it."""
    names, words = (sorted({word for text in texts for word in kind.findall(text)}) for kind in (_NAME, _WORD))
    rules: dict[str, Callable[[str], str]] = {
        "negation": lambda text: _negated(text, rng),
        "number": lambda text: _replaced(_NUMBER, text, lambda found: _other_number(found, rng), rng),
        "name": lambda text: _replaced(_NAME, text, lambda found: _other(names, found, rng), rng),
        "reversal": lambda text: _replaced(_RELATION, text, _reversed, rng),
        "word": lambda text: _replaced(_WORD, text, lambda found: _other(words, found, rng), rng),
        "opposite": lambda text: _replaced(_ANTONYM, text, _opposite, rng),
    }
    return [
        TextPair(place, group, kind, text, changed, same=False)
        for place, (text, group) in enumerate(zip(texts, groups, strict=True))
        for kind, change in rules.items()
        if (changed := change(text)) != text
    ]


def paraphrases(texts: Sequence[str], groups: Sequence[str], *, rng: np.random.Generator) -> list[TextPair]:
    """Return one pair of equivalent requests per text, with other openings, endings and contractions."""
    return [
        TextPair(place, group, "paraphrase", text, paraphrase(text, rng), same=True)
        for place, (text, group) in enumerate(zip(texts, groups, strict=True))
    ]


def paraphrase(text: str, rng: np.random.Generator) -> str:
    """Return a paraphrase of `text`: an opening, an ending, contractions."""
    changed = text
    for long, short in _SPELLING.items():
        if rng.random() < 0.5:
            changed = changed.replace(long, short)
    kind = rng.integers(3)
    if kind != 1:
        changed = _OPENINGS[rng.integers(len(_OPENINGS))] + changed
    if kind != 0:
        changed = changed.rstrip() + _ENDINGS[rng.integers(len(_ENDINGS))]
    return changed


def _negated(text: str, rng: np.random.Generator) -> str:
    if re.search(r"\bnot ", text):
        return re.sub(r"\bnot ", "", text, count=1)
    return _replaced(_AUXILIARY, text, lambda found: f"{found.group()} not", rng)


def _replaced(pattern: re.Pattern, text: str, change: Callable[[re.Match], str], rng: np.random.Generator) -> str:
    """Return `text` with one randomly drawn match changed, or `text` itself if nothing matches."""
    found = list(pattern.finditer(text))
    if not found:
        return text
    match = found[rng.integers(len(found))]
    return text[: match.start()] + change(match) + text[match.end() :]


def _other_number(found: re.Match, rng: np.random.Generator) -> str:
    digits = found.group()
    swapped = digits[::-1]
    return swapped if swapped != digits and swapped[0] != "0" else str(int(digits) + int(rng.integers(1, 9)))


def _other(names: list[str], found: re.Match, rng: np.random.Generator) -> str:
    others = [name for name in names if name != found.group()]
    return others[rng.integers(len(others))] if others else found.group()


def _reversed(found: re.Match) -> str:
    first, relation, second = found.groups()
    return f"{second}{relation}{first}"


def _opposite(found: re.Match) -> str:
    word = found.group()
    other = _OPPOSITE[word.casefold()]
    return other.capitalize() if word[0].isupper() else other
