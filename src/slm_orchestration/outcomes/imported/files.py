"""Tables in files of any kind as rows of cells: CSV, TSV, JSON, JSON lines and Parquet.

Every table that others made is read here. Cells are what the file says: text in files without types, so that the id
007 stays 007 and a model may be called NA. Rows are indexed by their position in the file, and errors name file and
row; row 1 follows the header.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

READABLE = (".csv", ".tsv", ".parquet", ".jsonl", ".json", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".json.gz")
SIGNALS = "signals"  # the one column whose cells are objects; all other objects become a column per name
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*(?:,\d+)?\s*")
_LARGEST_CELL = 2**31 - 1  # characters


class ImportedError(ValueError):
    """Recorded outcomes that cannot be used; the message names the file, the row and what to do."""


def read_file(path: Path) -> pd.DataFrame:
    """Return the rows of a file unchecked; objects within objects are columns such as result.score.

    Raises ImportedError if the file cannot be read as a table.
    """
    name = path.name.lower()
    if name.endswith((".pkl", ".pickle")):
        raise ImportedError(
            f"{path}: opening a pickle runs code from it; if you trust it, convert it: "
            "pandas.read_pickle(...).to_parquet(...)"
        )
    if not name.endswith(READABLE):
        raise ImportedError(f"{path}: unknown kind of file; readable are {', '.join(READABLE)}, and a folder of them")
    if not path.is_file():
        raise ImportedError(f"{path}: no such file")
    try:
        if name.endswith(".parquet"):
            return _parquet(path)
        kind = name.removesuffix(".gz")
        if kind.endswith(".jsonl"):
            return _frame(_json_lines(path))
        if kind.endswith(".json"):
            return _frame(_json_list(path))
        return _separated(path, "\t" if kind.endswith(".tsv") else ",")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ImportedError(f"{path}: is cut off or not gzip ({_first_line(error)})") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ImportedError(f"{path}: cannot be read ({_first_line(error)})") from error


def _separated(path: Path, separator: str) -> pd.DataFrame:
    lines = _lines(path)
    header = next((line for line in lines if line.strip()), None)
    if header is None:
        raise ImportedError(f"{path}: is empty")
    found = next((mark for mark in (separator, ";", "\t", ",") if mark in header), separator)
    csv.field_size_limit(_LARGEST_CELL)
    records = csv.reader(_then(header, lines), delimiter=found, strict=True)
    try:
        names = [cell.strip() for cell in next(records)]
        columns, rows = _cells(path, names, records)
    except csv.Error as error:
        raise ImportedError(f"{path}, line {records.line_num}: cannot be read ({_first_line(error)})") from error
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ImportedError(f"{path}: column {twice[0]!r} occurs twice")
    named = {}
    for number, (name, cells) in enumerate(zip(names, columns, strict=True), start=1):
        if name or any(cell.strip() for cell in cells):
            named[name or f"column {number}"] = cells
    frame = pd.DataFrame({name: pd.Series(cells, rows, dtype=object) for name, cells in named.items()}, index=rows)
    return frame.apply(_with_points) if found == ";" else frame


def _cells(path: Path, names: list[str], records: Iterable[list[str]]) -> tuple[list[list[str]], list[int]]:
    columns: list[list[str]] = [[] for _ in names]
    known: dict[str, str] = {}  # equal cells are stored once: a prompt occurs in a row of each model
    rows = []
    for row, record in enumerate(records):
        if not any(record):
            continue
        if len(record) != len(names) and (len(record) < len(names) or any(record[len(names) :])):
            raise ImportedError(
                f"{place(path, row)}: has {len(record)} cells and the header {len(names)}; is the file cut off, or a "
                "cell with a separator in it not in quotes?"
            )
        rows.append(row)
        for cells, cell in zip(columns, record, strict=False):
            cells.append(known.setdefault(cell, cell))
    return columns, rows


def _with_points(cells: pd.Series) -> pd.Series:
    """Return a column that is mostly numbers with decimal commas with decimal points; any other column as it is."""
    is_number = cells.map(lambda cell: _DECIMAL_COMMA.fullmatch(cell) is not None)
    return cells.where(~is_number, cells.str.replace(",", ".")) if is_number.mean() >= 0.5 else cells


def _json_lines(path: Path) -> Iterator[dict]:
    for row, line in enumerate(_lines(path)):
        if line.strip():
            yield _object(_parsed(line, path, row), path, row)


def _json_list(path: Path) -> Iterator[dict]:
    """Yield the objects of a list, or of the only list of objects that an object holds."""
    whole = _parsed("".join(_lines(path)), path, None)
    if isinstance(whole, dict):
        lists = {name: value for name, value in whole.items() if isinstance(value, list) and _are_objects(value)}
        if len(lists) != 1:
            raise ImportedError(
                f"{path}: holds an object with {len(lists)} lists of objects, and a table is one list of objects"
            )
        (whole,) = lists.values()
    if not isinstance(whole, list):
        raise ImportedError(f"{path}: holds no list of objects")
    yield from (_object(value, path, row) for row, value in enumerate(whole))


def _parsed(text: str, path: Path, row: int | None) -> object:
    where = str(path) if row is None else place(path, row)
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_constant)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ImportedError(f"{where}: is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ImportedError(f"{where}: holds half a character (\\ud800 to \\udfff), which is no text") from error
    except ValueError as error:
        raise ImportedError(f"{where}: is not JSON ({_first_line(error)})") from error
    return value


def _object(value: object, path: Path, row: int) -> dict:
    if not isinstance(value, dict):
        raise ImportedError(f"{place(path, row)}: is {json.dumps(value)[:40]}, and a row is a JSON object")
    return value


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return value


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)


def _frame(records: Iterable[dict]) -> pd.DataFrame:
    columns: dict[str, list[object]] = {}
    known: dict[str, str] = {}
    count = 0
    for record in records:
        for name, value in _flat(record):
            cells = columns.setdefault(name, [])
            cells += [None] * (count - len(cells))
            cells.append(known.setdefault(value, value) if isinstance(value, str) else value)
        count += 1
    padded = {name: cells + [None] * (count - len(cells)) for name, cells in columns.items()}
    return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in padded.items()}, index=range(count))


def _flat(record: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in record.items():
        if isinstance(value, dict) and name != SIGNALS:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}".strip(), value


def _parquet(path: Path) -> pd.DataFrame:
    schema = pq.read_schema(path)
    # Text that occurs in many rows is stored once.
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_binary(field.type)]
    table = pq.read_table(path, read_dictionary=texts)
    table.validate(full=True)  # damaged text is found here, and not where it is first used
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in columns:
            raise ImportedError(f"{path}: column {name!r} occurs twice")
        columns[name] = _cells_of(column, name, path)
    frame = pd.DataFrame(columns, index=range(table.num_rows))
    nested = [name for name in frame if pa.types.is_struct(schema.field(name).type) and name != SIGNALS]
    for name in nested:
        inner = _frame({name: value} if value else {} for value in frame[name])
        frame = frame.drop(columns=name).join(inner)
    return frame


def _cells_of(column: pa.ChunkedArray, name: str, path: Path) -> pd.Series:
    kind = column.type
    if pa.types.is_nested(kind):
        return pd.Series(column.to_pylist(), dtype=object)
    if pa.types.is_dictionary(kind):
        cells = pd.Series(column.to_pandas()).astype(object)
        if pa.types.is_binary(kind.value_type):
            cells = _decoded(cells, name, path)
        return cells.where(cells.notna(), None)
    return pd.Series(column.to_pandas(integer_object_nulls=True))


def _decoded(cells: pd.Series, name: str, path: Path) -> pd.Series:
    known: dict[bytes, str] = {}
    for row, cell in enumerate(cells):
        if isinstance(cell, bytes) and cell not in known:
            try:
                known[cell] = cell.decode()
            except UnicodeDecodeError as error:
                raise ImportedError(f"{place(path, row)}: {name} holds bytes that are not UTF-8 text") from error
    return cells.map(known, na_action="ignore")


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text, without a byte order mark. Raises ImportedError naming a line that is not UTF-8."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ImportedError(
                    f"{path}, line {number}: is not UTF-8 text ({error.reason}); save it as UTF-8"
                ) from error


def _then(first: str, rest: Iterable[str]) -> Iterator[str]:
    yield first
    yield from rest


def _are_objects(values: list) -> bool:
    return bool(values) and all(isinstance(value, dict) for value in values)


def place(path: Path, row: int) -> str:
    """Return a row of a file in words, with its number in a spreadsheet where that differs; `row` counts from 0."""
    in_sheet = (
        f" (row {row + 2} in a spreadsheet)" if ".csv" in path.name.lower() or ".tsv" in path.name.lower() else ""
    )
    return f"{path}, row {row + 1}{in_sheet}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
