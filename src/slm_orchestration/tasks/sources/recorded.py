"""Questions that others' models answered, from a file that says who was right but not what is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slm_orchestration.tasks.scoring.numeric import numbers
from slm_orchestration.tasks.sources.local import LocalRows
from slm_orchestration.tasks.sources.row import Row, RowError

_RESPONSE = "_response"


@dataclass(frozen=True)
class RecordedNumbers:
    """The rows of the table at `path` in `folder`: `prompt`, and per model a grade `<model>` and `<model>_response`.

    That is the layout of GSM8K in a clone of RouteLLM. Fields: `question` and `answer`, the last number in the answers
    that were graded right. A row where nobody was right, or two right answers end in different numbers, holds a
    RowError: its reference is unknown.
    """

    folder: str | None
    path: str

    def rows(self) -> Iterator[Row]:
        if self.folder is None:
            raise ValueError(f"{self.path}: in which clone? Name its folder, as in clone=path/to/RouteLLM")
        for row in LocalRows(str(Path(self.folder) / self.path)).rows():
            yield row if "" in row.fields else Row(row.number, row.where, self._asked(row.fields))

    def _asked(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"question": fields["prompt"], "answer": _agreed(fields)}
        except KeyError as error:
            raise ValueError(f"{self.path}: column {error} is missing") from None
        except RowError as error:
            return {"": error}


def _agreed(fields: Mapping[str, Any]) -> str:
    graded = [name for name in fields if f"{name}{_RESPONSE}" in fields]
    if not graded:
        raise KeyError(f"<model>{_RESPONSE}")
    right = [name for name in graded if str(fields[name]).strip().casefold() in ("true", "1", "1.0")]
    if not right:
        raise RowError("no recorded answer is right, so the right one is unknown")
    ends = [found[-1:] for name in right if (found := numbers(str(fields[f"{name}{_RESPONSE}"])))]
    if len(ends) < len(right) or any(end != ends[0] for end in ends):
        raise RowError("the answers that were graded right end in different numbers")
    return str(ends[0][0])
