"""The paper's source must not hold a result in digits: every number in its text comes from a generated file."""

from __future__ import annotations

import re

# What stands in Typst code, not in the text that a reader sees; blanked in this order, line ends kept.
_NOT_TEXT = (
    re.compile(r"//[^\n]*"),  # comments
    re.compile(r"/\*.*?\*/", re.DOTALL),
    re.compile(r"`[^`\n]*`"),  # names of files and commands
    re.compile(r'"[^"\n]*"'),  # strings in code: names of generated numbers, of files
    re.compile(r"^#(?:set|let|show|import|include)\b[^\n]*$", re.MULTILINE),
    re.compile(r"@[\w:.\-]+"),  # references and citations
    re.compile(r"<[\w:.\-]+>"),  # labels
    re.compile(r"\b\d+(?:\.\d+)?(?:pt|em|cm|mm|in|fr|%)?(?=[,)])"),  # bare arguments of a function call
)
# Formulas need small whole numbers; a result in a formula is still found.
_FORMULA = re.compile(r"\$[^$]*\$")
_SMALL = re.compile(r"(?<![\d.])[0-2](?![\d.])")
# A digit inside a word that begins with a letter belongs to a name: SmolLM2, Qwen2.5-Coder, p50.
_NAME = re.compile(r"\b[A-Za-z][\w.\-]*")
_DIGITS = re.compile(r"\d[\d.,]*")


def typed_numbers(source: str) -> list[tuple[int, str]]:
    """Return the digits that a reader would see, as (line number, the line), wherever `source` types them in."""
    text = _FORMULA.sub(lambda match: _SMALL.sub(" ", match.group()), source)
    for pattern in (*_NOT_TEXT, _NAME):
        text = pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
    lines = source.splitlines()
    found = {text.count("\n", 0, match.start()) for match in _DIGITS.finditer(text)}
    return [(line + 1, lines[line].strip()) for line in sorted(found)]


def refuse_typed_numbers(source: str, name: str) -> None:
    """Raise ValueError naming the first line of the file `name` that types a number in digits."""
    if found := typed_numbers(source):
        line, text = found[0]
        raise ValueError(f"{name}:{line}: a number typed in digits instead of generated/numbers.json's: {text!r}")
