"""Paragraphs for the terminal, and estimates with their intervals in words."""

from __future__ import annotations

import textwrap

import pandas as pd

_WIDTH = 110


def paragraph(title: str, words: str) -> str:
    """Return `words` wrapped and indented, with `title` in front of the first line."""
    return textwrap.fill(words, _WIDTH, initial_indent=f"{title:<16}", subsequent_indent=" " * 16)


def signed(row: pd.Series) -> str:
    """Return a difference with its sign and interval."""
    return with_interval(row, "{:+.4f}")


def percent(row: pd.Series) -> str:
    """Return a share in percent with its interval."""
    return with_interval(row, "{:.1%}")


def with_interval(row: pd.Series, form: str) -> str:
    """Return a row of ESTIMATES in the format `form`; without an estimate, why there is none."""
    if pd.isna(row["estimate"]):
        return f"unknown ({row['method']})"
    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return form.format(row["estimate"])
    return f"{form.format(row['estimate'])} [{form.format(row['low'])}, {form.format(row['high'])}]"
