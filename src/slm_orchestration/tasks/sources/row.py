"""What every source of rows looks like to the rest of the project."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol


class RowError(ValueError):
    """A row that cannot become a task; the message says why, and the caller knows where it stands."""


@dataclass(frozen=True)
class Row:
    """One row as its file holds it. `where` is the file and line; `number` counts from 0 and never changes.

    A row that could not be read at all holds the RowError that says why, under the empty name.
    """

    number: int
    where: str
    fields: dict[str, Any]


class Source(Protocol):
    """Yields rows in the order of their numbers. Construction only stores."""

    def rows(self) -> Iterator[Row]:
        """Yield every row. Raises RowError, with the place in its message, for a line that is not a row at all."""
        ...


def is_missing(value: Any) -> bool:
    """Return whether a field holds nothing: null or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))
