"""Equality of parse_numbers. The reference is a number as text.

An integer must match exactly; a reference with n decimals matches every number within half a unit of its last decimal.
Thousands separators, currencies, units, fractions (3/4, 1 1/2) and 1.5e3 are parsed; of a chain of equations the last
side counts. A percentage may match with or without division by 100.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from slm_orchestration.tasks.scoring.extraction import final_answer
from slm_orchestration.tasks.task import Task

_DECIMAL = r"\d{1,3}(?:,\d{3})+(?:\.\d{1,400})?|\d{1,400}(?:\.\d{0,400})?|\.\d{1,400}"
_NUMBER = re.compile(rf"(?<![\w.])([-+])?\s?(?:[$€£¥]\s?)?({_DECIMAL})(?:[eE]([-+]?\d{{1,3}})(?!\d))?(?!\d)")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\{(-?\d{1,100})\}\{(\d{1,100})\}")
_FRACTION = re.compile(r"(?<![\w./])(-)?\s?(?:(\d{1,100})\s+)?(\d{1,100})\s?/\s?(\d{1,100})(?![\w/]|\.\d)")


def score(task: Task, answer: str) -> float:
    """Return 1 if the last number of the final answer is that of the reference."""
    reference = parse_numbers(task.reference)[0]
    given = parse_numbers(final_answer(answer).rsplit("=", 1)[-1])
    if not given:
        return 0.0
    value = given[-1]
    decimals = re.search(r"\.(\d+)\s*%?$", task.reference.strip())
    tolerance = Fraction(1, 2 * 10 ** len(decimals.group(1))) if decimals else Fraction(0)
    readings = [value, value / 100] if "%" in answer and "%" not in task.reference else [value]
    return float(any(abs(reading - reference) <= tolerance for reading in readings))


def parse_numbers(text: str) -> list[Fraction]:
    """Return the numbers in `text`, in order, as exact fractions."""
    text = unicodedata.normalize("NFKC", text).replace("−", "-").replace("⁄", "/")
    text = _LATEX_FRACTION.sub(r" \1/\2 ", text)
    found: list[tuple[int, Fraction]] = []
    for match in _FRACTION.finditer(text):
        sign, whole, numerator, denominator = match.groups()
        if int(denominator):
            value = int(whole or 0) + Fraction(int(numerator), int(denominator))
            found.append((match.start(), -value if sign else value))
    text = _FRACTION.sub(lambda match: " " * len(match.group()), text)
    for match in _NUMBER.finditer(text):
        sign, digits, exponent = match.groups()
        value = Fraction(digits.replace(",", "").rstrip(".")) * Fraction(10) ** int(exponent or 0)
        found.append((match.start(), -value if sign == "-" else value))
    return [value for _, value in sorted(found)]
