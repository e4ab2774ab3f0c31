"""What every source of rows looks like to the rest of the project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol


class RowError(ValueError):
    """A row that cannot become a task; the message says why, and the caller knows where it stands."""


@dataclass(frozen=True)
class Row:
    """One row as its file holds it. `where` is the file and line; `number` counts from 0 and never changes."""

    number: int
    where: str
    fields: dict[str, Any]


class Source(Protocol):
    """Yields rows in the order of their numbers. Construction only stores."""

    def rows(self) -> Iterator[Row]:
        """Yield every row. Raises RowError, with the place in its message, for a line that is not a row at all."""
        ...
