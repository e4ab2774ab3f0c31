"""Pairs of requests that must not share an answer, and pairs that may, made from texts by rule.

This file and the guard share no list and no pattern. The rules under `_LEARNED` were in mind when the guard was
written; those under `_HELD_OUT` were written after it and take no word from any list: they edit words, characters,
lines and sentences whatever these are. Both are reported apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_AUXILIARY = re.compile(
    r"\b(is|are|was|were|does|do|did|can|could|will|would|has|have|had|should|must|may)\b(?! not\b|n't)", re.IGNORECASE
)
_NUMBER = re.compile(r"(?<![\w.])\d{1,9}(?![\w.]*\d)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b")
_RELATION = re.compile(r"\b([A-Za-z]{4,})((?: is| are)? \w+ than | before | after | from | to | of )([A-Za-z]{4,})\b")
_WORD = re.compile(r"(?<= )[a-z]{5,}\b")
_OPPOSITES = (
    ("more", "less"), ("before", "after"), ("above", "below"), ("increase", "decrease"), ("left", "right"),
    ("greater", "smaller"), ("larger", "smaller"), ("higher", "lower"), ("first", "last"), ("all", "some"),
    ("most", "least"), ("maximum", "minimum"), ("earlier", "later"), ("always", "sometimes"), ("north", "south"),
    ("ascending", "descending"), ("buy", "sell"), ("add", "remove"), ("true", "false"), ("longest", "shortest"),
    ("largest", "smallest"), ("older", "younger"), ("taller", "shorter"), ("and", "or"), ("even", "odd"),
)  # fmt: skip
_OPPOSITE = {one: other for pair in _OPPOSITES for one, other in (pair, pair[::-1])}
_ANTONYM = re.compile(rf"\b({'|'.join(sorted(_OPPOSITE))})\b", re.IGNORECASE)
_SPELLING = {"What is": "What's", "do not": "don't", "does not": "doesn't", "is not": "isn't", "cannot": "can't"}
_OPENINGS = ("Please answer: ", "Could you help me with this? ", "I would like to know: ", "Question: ")
_ENDINGS = (" Thanks!", " Thank you.", " Please help.")
_LONG = 4000  # characters of a shared context


@dataclass(frozen=True)
class TextPair:
    """Two requests; `same` says whether they may share an answer, `held_out` that the rule is later than the guard.

    `place` is the index of the text in its list.
    """

    place: int
    group: str
    kind: str
    held_out: bool
    text: str
    other: str
    same: bool


@dataclass(frozen=True)
class _Sources:
    """What a rule may take its replacements from: all texts, with the names and the words in them."""

    texts: Sequence[str]
    names: list[str]
    words: list[str]
    rng: np.random.Generator

    def other(self, values: Sequence[str], than: str) -> str:
        """Return one of `values` other than `than`, or `than` itself if there is none."""
        others = [value for value in values if value != than]
        return others[self.rng.integers(len(others))] if others else than

    def pick(self, count: int) -> int:
        return int(self.rng.integers(count))


Rule = Callable[[str, _Sources], str]


def different_pairs(texts: Sequence[str], groups: Sequence[str], *, rng: np.random.Generator) -> list[TextPair]:
    """Return pairs of different requests: one per text and rule that applies to it."""
    names, words = (sorted({word for text in texts for word in kind.findall(text)}) for kind in (_NAME, _WORD))
    sources = _Sources(texts, names, words, rng)
    pairs = []
    for place, (text, group) in enumerate(zip(texts, groups, strict=True)):
        for held_out, rules in ((False, _LEARNED), (True, _HELD_OUT)):
            for kind, change in rules.items():
                one = _context(text, sources) + text if kind == "end of a long text" else text
                if (changed := change(one, sources)) != one:
                    pairs.append(TextPair(place, group, kind, held_out, one, changed, same=False))
    return pairs


def paraphrases(texts: Sequence[str], groups: Sequence[str], *, rng: np.random.Generator) -> list[TextPair]:
    """Return one pair of equivalent requests per text, with other openings, endings and contractions."""
    return [
        TextPair(place, group, "paraphrase", False, text, paraphrase(text, rng), same=True)
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


def _negated(text: str, sources: _Sources) -> str:
    if re.search(r"\bnot ", text):
        return re.sub(r"\bnot ", "", text, count=1)
    return _replaced(_AUXILIARY, text, lambda found: f"{found.group()} not", sources)


def _replaced(pattern: re.Pattern, text: str, change: Callable[[re.Match], str], sources: _Sources) -> str:
    """Return `text` with one randomly drawn match changed, or `text` itself if nothing matches."""
    found = list(pattern.finditer(text))
    if not found:
        return text
    match = found[sources.pick(len(found))]
    return text[: match.start()] + change(match) + text[match.end() :]


def _other_number(found: re.Match, sources: _Sources) -> str:
    digits = found.group()
    swapped = digits[::-1]
    return swapped if swapped != digits and swapped[0] != "0" else str(int(digits) + 1 + sources.pick(8))


def _opposite(found: re.Match) -> str:
    word = found.group()
    other = _OPPOSITE[word.casefold()]
    return other.capitalize() if word[0].isupper() else other


_LEARNED: dict[str, Rule] = {
    "negation": _negated,
    "number": lambda text, sources: _replaced(_NUMBER, text, lambda found: _other_number(found, sources), sources),
    "name": lambda text, sources: _replaced(
        _NAME, text, lambda found: sources.other(sources.names, found.group()), sources
    ),
    "reversal": lambda text, sources: _replaced(
        _RELATION, text, lambda found: f"{found[3]}{found[2]}{found[1]}", sources
    ),
    "word": lambda text, sources: _replaced(
        _WORD, text, lambda found: sources.other(sources.words, found.group()), sources
    ),
    "opposite": lambda text, sources: _replaced(_ANTONYM, text, _opposite, sources),
}


def _on_words(text: str, sources: _Sources, edit: Callable[[list[str], int], None]) -> str:
    """Return `text` after `edit(parts, place)` of one inner word; `parts` are the words and the blanks between them."""
    parts = re.split(r"(\s+)", text)
    inner = [place for place in range(2, len(parts) - 2, 2) if parts[place]]
    if not inner:
        return text
    edit(parts, inner[sources.pick(len(inner))])
    return "".join(parts)


def _dropped(parts: list[str], place: int) -> None:
    del parts[place : place + 2]


def _swapped(parts: list[str], place: int) -> None:
    parts[place], parts[place - 2] = parts[place - 2], parts[place]


def _recased(parts: list[str], place: int) -> None:
    parts[place] = parts[place].swapcase()


def _inserted(text: str, sources: _Sources) -> str:
    word = sources.words[sources.pick(len(sources.words))] if sources.words else "x"
    return _on_words(text, sources, lambda parts, place: parts.insert(place, f"{word} "))


def _on_character(text: str, sources: _Sources, category: str, change: Callable[[str], str]) -> str:
    """Return `text` with one inner character of a Unicode category changed."""
    places = [
        n for n, one in enumerate(text) if 0 < n < len(text) - 1 and unicodedata.category(one).startswith(category)
    ]
    if not places:
        return text
    place = places[sources.pick(len(places))]
    return text[:place] + change(text[place]) + text[place + 1 :]


def _symbol(text: str, sources: _Sources) -> str:
    """Replace one symbol or mark, or write one between two words, from all of Unicode's mathematical symbols."""
    symbol = chr(0x2200 + sources.pick(256))
    changed = _on_character(text, sources, "S", lambda _: symbol)
    if changed != text:
        return changed
    return _on_words(text, sources, lambda parts, place: parts.insert(place, f"{symbol} "))


def _pictogram(text: str, sources: _Sources) -> str:
    """Write a pictogram at the end."""
    return f"{text} {chr(0x1F600 + sources.pick(64))}"


def _relined(text: str, sources: _Sources) -> str:
    """Indent one inner line, or break the text at one blank."""
    lines = text.split("\n")
    if len(lines) > 1:
        place = 1 + sources.pick(len(lines) - 1)
        lines[place] = "    " + lines[place]
        return "\n".join(lines)
    return _on_character(text, sources, "Z", lambda _: "\n")


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.?!])\s+", text)


def _ending(text: str, sources: _Sources) -> str:
    """Return `text` with the last sentence of another text in place of its own."""
    *rest, own = _sentences(text)
    drawn = (_sentences(sources.texts[sources.pick(len(sources.texts))])[-1] for _ in range(8))
    return " ".join([*rest, next((ending for ending in drawn if ending != own), own)])


def _context(text: str, sources: _Sources) -> str:
    """Return some thousand characters of other texts."""
    context = ""
    while len(context) < _LONG:
        context += sources.other(sources.texts, text) + " "
    return context[:_LONG] + " "


_HELD_OUT: dict[str, Rule] = {
    "word dropped": lambda text, sources: _on_words(text, sources, _dropped),
    "words swapped": lambda text, sources: _on_words(text, sources, _swapped),
    "word inserted": _inserted,
    "case": lambda text, sources: _on_words(text, sources, _recased),
    "letter": lambda text, sources: _on_character(text, sources, "L", lambda one: "z" if one != "z" else "y"),
    "accent": lambda text, sources: _on_character(text, sources, "L", lambda one: one + "\u0301"),
    "width": lambda text, sources: _on_character(
        text, sources, "L", lambda one: chr(ord(one) + 0xFEE0) if one.isascii() else one
    ),
    "punctuation": lambda text, sources: _on_character(text, sources, "P", lambda one: ";" if one != ";" else ":"),
    "symbol": _symbol,
    "pictogram": _pictogram,
    "line": _relined,
    "sentence added": lambda text, sources: f"{text} {_sentences(sources.other(sources.texts, text))[0]}",
    "sentence before": lambda text, sources: f"{_sentences(sources.other(sources.texts, text))[-1]} {text}",
    "end of a text": _ending,
    "end of a long text": _ending,
}
