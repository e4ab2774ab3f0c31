"""The same number. The reference is a number as text.

An integer must be met exactly; a reference with n decimals is met by whatever rounds to it, half a unit of its last
place either way. Thousands separators, a currency, a unit, fractions (3/4, 1 1/2) and 1.5e3 are understood; of a chain
of equations the last side counts. A percentage meets a reference with or without the division by 100.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from slm_orchestration.tasks.scoring.extraction import final_answer
from slm_orchestration.tasks.task import Task

_PLAIN = r"\d{1,3}(?:,\d{3})+(?:\.\d{1,400})?|\d{1,400}(?:\.\d{0,400})?|\.\d{1,400}"
_NUMBER = re.compile(rf"(?<![\w.])([-+])?\s?(?:[$€£¥]\s?)?({_PLAIN})(?:[eE]([-+]?\d{{1,3}})(?!\d))?(?!\d)")
_FRACTION = re.compile(r"\\[dt]?frac\{(-?\d{1,100})\}\{(\d{1,100})\}")
_PARTS = re.compile(r"(?<![\w./])(-)?\s?(?:(\d{1,100})\s+)?(\d{1,100})\s?/\s?(\d{1,100})(?![\w/]|\.\d)")


def score(task: Task, answer: str) -> float:
    """Return 1 if the final answer holds the reference's number."""
    reference = numbers(task.reference)[0]
    given = numbers(final_answer(answer).rsplit("=", 1)[-1])
    if not given:
        return 0.0
    value = given[-1]
    decimals = re.search(r"\.(\d+)\s*%?$", task.reference.strip())
    slack = Fraction(1, 2 * 10 ** len(decimals.group(1))) if decimals else Fraction(0)
    readings = [value, value / 100] if "%" in answer and "%" not in task.reference else [value]
    return float(any(abs(reading - reference) <= slack for reading in readings))


def numbers(text: str) -> list[Fraction]:
    """Return the numbers in `text`, in order, exactly."""
    text = unicodedata.normalize("NFKC", text).replace("−", "-").replace("⁄", "/")
    text = _FRACTION.sub(r" \1/\2 ", text)
    found: list[tuple[int, Fraction]] = []
    for match in _PARTS.finditer(text):
        sign, whole, above, below = match.groups()
        if int(below):
            value = int(whole or 0) + Fraction(int(above), int(below))
            found.append((match.start(), -value if sign else value))
    text = _PARTS.sub(lambda match: " " * len(match.group()), text)
    for match in _NUMBER.finditer(text):
        sign, digits, exponent = match.groups()
        value = Fraction(digits.replace(",", "").rstrip(".")) * Fraction(10) ** int(exponent or 0)
        found.append((match.start(), -value if sign == "-" else value))
    return [value for _, value in sorted(found)]
