"""What a key of the configuration may hold: numbers, choices, texts, lists, mappings, and what is built."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from omegaconf import DictConfig, ListConfig

_TEXT_LIMIT = 4096
MOST = 10**9  # of what can be counted: more than any machine holds


class Allowed(Protocol):
    """Values that a key may hold; `str` of it says which, in words."""

    def allows(self, value: object) -> bool:
        """Return whether `value` is one of them."""
        ...


@dataclass(frozen=True)
class Number:
    """A finite number from `low` to `high`, both included unless `exclusive` is set."""

    low: float
    high: float
    whole: bool = False
    exclusive: bool = False
    null: bool = False

    def allows(self, value: object) -> bool:
        """Return whether `value` is such a number."""
        if value is None:
            return self.null
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        return self.low < value < self.high if self.exclusive else self.low <= value <= self.high

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        form = ("{:,}" if self.whole else "{:,g}").format
        if self.exclusive:
            span = f" between {form(self.low)} and {form(self.high)}, both excluded"
        else:
            span = f" from {form(self.low)}" + ("" if self.high == MOST else f" to {form(self.high)}")
        return kind + span + (", or null" if self.null else "")


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[str | bool, ...]
    null: bool = False

    def allows(self, value: object) -> bool:
        """Return whether `value` is one of them; 1 is not true."""
        if value is None:
            return self.null
        return any(type(value) is type(one) and value == one for one in self.values)

    def __str__(self) -> str:
        return " or ".join(map(shown, (*self.values, None) if self.null else self.values))


@dataclass(frozen=True)
class Text:
    """One line of text, of which all must match `pattern`; a whole number counts as its digits."""

    what: str
    pattern: str = r"[^\0-\x1f]+"
    null: bool = False
    example: str = ""

    def allows(self, value: object) -> bool:
        """Return whether `value` is such text."""
        if value is None:
            return self.null
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            return False
        return len(str(value)) <= _TEXT_LIMIT and re.fullmatch(self.pattern, str(value)) is not None

    def __str__(self) -> str:
        return self.what + (", or null" if self.null else "")


@dataclass(frozen=True)
class ListOf:
    """A list of values."""

    each: Allowed
    empty: bool = False
    rising: bool = False
    null: bool = False

    def allows(self, value: object) -> bool:
        """Return whether `value` is such a list."""
        if not isinstance(value, (list, ListConfig)):
            return value is None and self.null
        listed = list(value)
        if not (self.empty or listed) or not all(map(self.each.allows, listed)):
            return False  # before the values are compared, as a text and a number cannot be
        return not self.rising or all(first < second for first, second in pairwise(listed))

    def __str__(self) -> str:
        order = ", smallest first" if self.rising else ""
        return f"a list of {'distinct values' if self.rising else 'values'}, each {self.each}{order}" + (
            ", or null" if self.null else ""
        )


@dataclass(frozen=True)
class MappingOf:
    """A mapping whose names are among `names` (any, if there are none), or one of the words, or null."""

    what: str
    each: Allowed
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def allows(self, value: object) -> bool:
        """Return whether `value` is such a mapping; a value may also be a list of what `each` allows."""
        if value is None or (isinstance(value, str) and value in self.words):
            return True
        if not isinstance(value, DictConfig) or not value:
            return False
        listed = [one for item in value.values() for one in (item if isinstance(item, ListConfig) else [item])]
        return all(not self.names or str(name) in self.names for name in value) and all(map(self.each.allows, listed))

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True)
class Built:
    """A mapping with `_target_`, or a list of them if `several`: what it names is checked where it is built."""

    several: bool = False

    def allows(self, value: object) -> bool:
        """Return whether `value` has that form."""
        if self.several:
            nodes = list(value) if isinstance(value, ListConfig) else []
            return bool(nodes) and all(
                isinstance(node, DictConfig) and {"_target_", "name"} <= set(node) for node in nodes
            )
        return isinstance(value, DictConfig) and "_target_" in value

    def __str__(self) -> str:
        return "a list of mappings with _target_ and name" if self.several else "a mapping with _target_"


def shown(value: object) -> str:
    """Return a value as one short line."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    text = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return text if len(text) <= 80 else f"{text[:77]}…"
