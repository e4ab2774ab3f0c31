"""Rows of a local file (JSON lines, CSV or Parquet), or of a dataset that the `datasets` library loads."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from slm_orchestration.tasks.sources.row import Row, RowError
from slm_orchestration.tasks.sources.wheels import parse_object

# Bytes; no prompt that a model here accepts comes near this.
_LONGEST_LINE = 5_000_000
_Read = tuple[str, dict[str, Any] | RowError]  # the place of a row, and its fields or why it could not be read


@dataclass(frozen=True)
class LocalRows:
    """The rows of one .jsonl, .csv or .parquet file; its keys or columns become fields."""

    path: str

    def rows(self) -> Iterator[Row]:
        path = Path(self.path).expanduser()
        readers = {".jsonl": _json_lines, ".csv": _csv, ".parquet": _parquet}
        if path.suffix not in readers:
            raise ValueError(f"{path}: unknown file extension; allowed are {', '.join(readers)}")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; `source.path` names it")
        for number, (where, fields) in enumerate(readers[path.suffix](path)):
            yield Row(number, where, error=fields) if isinstance(fields, RowError) else Row(number, where, fields)


@dataclass(frozen=True)
class HubRows:
    """One split of a dataset: streamed from the hub at the commit `revision`, so that its rows never change, or local.

    `path` is a name on the hub, or a folder written by `Dataset.save_to_disk` or `DatasetDict.save_to_disk`.
    """

    path: str
    split: str
    name: str | None = None
    revision: str | None = None

    def rows(self) -> Iterator[Row]:
        import datasets  # takes seconds to import

        folder = Path(self.path).expanduser()
        if folder.is_dir():
            loaded = datasets.load_from_disk(str(folder))
            data = loaded[self.split] if isinstance(loaded, datasets.DatasetDict) else loaded
        else:
            if self.revision is None:
                raise ValueError(f"{self.path}: a hub dataset needs a pinned `revision`")
            data = datasets.load_dataset(self.path, self.name, split=self.split, revision=self.revision, streaming=True)
        for number, fields in enumerate(data):
            yield Row(number, f"{self.path}[{self.split}]:{number}", dict(fields))


def _json_lines(path: Path) -> Iterator[_Read]:
    with path.open("rb") as stream:
        for count, line in enumerate(stream, start=1):
            where = f"{path.name}:{count}"
            if len(line) > _LONGEST_LINE:
                yield where, RowError(f"the row has {len(line)} bytes; at most {_LONGEST_LINE} are read")
            elif line.strip():
                yield where, _object_or_error(line, where)


def _csv(path: Path) -> Iterator[_Read]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        for fields in reader:
            where = f"{path.name}:{reader.line_num}"
            whole = None not in fields and None not in fields.values()
            yield where, fields if whole else RowError("the row has more or fewer cells than the header")


def _parquet(path: Path) -> Iterator[_Read]:
    number = 0
    for batch in pq.ParquetFile(path).iter_batches(batch_size=1024):
        for fields in batch.to_pylist():
            number += 1
            yield f"{path.name}:row {number}", fields


def _object_or_error(line: bytes, where: str) -> dict[str, Any] | RowError:
    try:
        return parse_object(line, where)
    except RowError as error:
        return error
