"""The rows that every source yields, and the protocol of a source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class RowError(ValueError):
    """A row that cannot become a task; the message says why."""


@dataclass(frozen=True)
class Row:
    """One row of a source: its position counted from 0, where it is (file and line), and its fields.

    `error` says why a row could not be read; its fields are then empty.
    """

    number: int
    where: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    error: RowError | None = None


class RowSource(Protocol):
    """Yields the rows of one dataset in the order of their numbers, the same at every call."""

    def rows(self) -> Iterator[Row]:
        """Yield every row. Raises RowError, with the place in its message, for a line that is not a row."""
        ...


def is_missing(value: Any) -> bool:
    """Return whether a field is null or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))
