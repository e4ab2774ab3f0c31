"""Questions with recorded answers of other models, whose file grades the answers but lacks the references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slm_orchestration.tasks.scoring.numeric import parse_numbers
from slm_orchestration.tasks.sources.local import LocalRows
from slm_orchestration.tasks.sources.row import Row, RowError

_RESPONSE = "_response"


@dataclass(frozen=True)
class RecordedNumbers:
    """The rows of the table at `path` in `folder`: `prompt`, and per model a grade `<model>` and `<model>_response`.

    This is the layout of GSM8K in a clone of RouteLLM. Fields: `question` and `answer`, the last number of the answers
    graded right. The reference of a row is unknown, and the row has an error, where no answer is right or where right
    answers end in different numbers.
    """

    folder: str | None
    path: str

    def rows(self) -> Iterator[Row]:
        if self.folder is None:
            raise ValueError(f"{self.path}: no folder given; name a clone, as in clone=path/to/RouteLLM")
        for row in LocalRows(str(Path(self.folder) / self.path)).rows():
            yield row if row.error else self._with_reference(row)

    def _with_reference(self, row: Row) -> Row:
        try:
            fields = {"question": row.fields["prompt"], "answer": _agreed_number(row.fields)}
            return Row(row.number, row.where, fields)
        except KeyError as error:
            raise ValueError(f"{self.path}: column {error} is missing") from None
        except RowError as error:
            return Row(row.number, row.where, error=error)


def _agreed_number(fields: Mapping[str, Any]) -> str:
    graded = [name for name in fields if f"{name}{_RESPONSE}" in fields]
    if not graded:
        raise KeyError(f"<model>{_RESPONSE}")
    right = [name for name in graded if str(fields[name]).strip().casefold() in ("true", "1", "1.0")]
    if not right:
        raise RowError("no recorded answer is right, so the right one is unknown")
    ends = [found[-1:] for name in right if (found := parse_numbers(str(fields[f"{name}{_RESPONSE}"])))]
    if len(ends) < len(right) or any(end != ends[0] for end in ends):
        raise RowError("the answers that were graded right end in different numbers")
    return str(ends[0][0])
