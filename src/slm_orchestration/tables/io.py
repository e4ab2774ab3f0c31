"""Check, read and write the tables that stages exchange, as parquet files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from slm_orchestration.artifacts import replacing

_PREFIX = "slm_orchestration."


class TableError(ValueError):
    """A table does not conform to its schema; the message names the table, the column and the row."""


def conform(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """Return `frame` with exactly the columns of `schema`, in its order and types.

    Raises TableError for a missing or unknown column, a wrong type, a forbidden null, a value out of range or a
    repeated key.
    """
    return _to_arrow(frame, schema).to_pandas().reset_index(drop=True)


def write(frame: pd.DataFrame, schema: pa.Schema, path: Path, *, metadata: dict[str, str]) -> None:
    """Check `frame` and write it as parquet, atomically; `metadata` records its origin (suite, pool, versions)."""
    described = {f"{_PREFIX}{key}": value for key, value in sorted(metadata.items())}
    table = _to_arrow(frame, schema).replace_schema_metadata({**(schema.metadata or {}), **described})
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read(path: Path, schema: pa.Schema) -> pd.DataFrame:
    """Read and check a parquet table. Raises TableError if the file is missing, unreadable or not of `schema`."""
    try:
        frame = pq.read_table(path).to_pandas()
    except FileNotFoundError:
        raise TableError(f"{path}: no such {_table_name(schema)} table") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(f"{path}: not a readable parquet file ({str(error).splitlines()[0]})") from error
    try:
        return conform(frame, schema)
    except TableError as error:
        raise TableError(f"{path}: {error}") from None


def read_metadata(path: Path) -> dict[str, str]:
    """Return the `metadata` that `write` stored in a file, without reading its rows."""
    pairs = [(key.decode(), value.decode()) for key, value in (pq.read_schema(path).metadata or {}).items()]
    return {key.removeprefix(_PREFIX): value for key, value in pairs if key.startswith(_PREFIX)}


def describe(schema: pa.Schema) -> pd.DataFrame:
    """Return the data dictionary of one table, one row per column: name, type, null, range and meaning."""
    return pd.DataFrame(
        {
            "column": field.name,
            "type": str(field.type),
            "null": "yes" if field.nullable else "no",
            "range": _range_text(field),
            "meaning": field.metadata[b"meaning"].decode(),
        }
        for field in schema
    )


def _to_arrow(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    table, names = _table_name(schema), list(schema.names)
    if missing := [name for name in names if name not in frame.columns]:
        raise TableError(f"{table}: column {missing[0]!r} is missing")
    if unknown := [str(name) for name in frame.columns if name not in names]:
        raise TableError(f"{table}: column {unknown[0]!r} is unknown; the columns are {', '.join(names)}")
    arrays = []
    for field in schema:
        try:
            array = pa.Array.from_pandas(frame[field.name], type=field.type, safe=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise TableError(f"{table}: column {field.name!r} is not {field.type}: {reason}") from None
        if not field.nullable and array.null_count:
            row = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
            raise TableError(f"{table}: column {field.name!r} is null in row {row}")
        _check_range(array, field, table)
        arrays.append(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)
    _check_key(frame, schema)
    return pa.Table.from_arrays(arrays, schema=schema)


def _check_range(array: pa.Array, field: pa.Field, table: str) -> None:
    if b"low" not in field.metadata:
        return
    low, high = float(field.metadata[b"low"]), float(field.metadata[b"high"])
    values = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
    bad = np.flatnonzero(~((values >= low) & (values <= high)) & ~array.is_null().to_numpy(zero_copy_only=False))
    if bad.size:
        raise TableError(
            f"{table}: column {field.name!r} is {values[bad[0]]} in row {int(bad[0])}; allowed is {low:g} to {high:g}"
        )


def _check_key(frame: pd.DataFrame, schema: pa.Schema) -> None:
    key = schema.metadata[b"key"].decode().split(",")
    repeated = frame.duplicated(subset=key).to_numpy()
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        values = ", ".join(f"{name}={frame[name].iloc[row]!r}" for name in key)
        raise TableError(f"{_table_name(schema)}: row {row} repeats the key {values}")


def _table_name(schema: pa.Schema) -> str:
    return schema.metadata[b"table"].decode()


def _range_text(field: pa.Field) -> str:
    if b"low" not in field.metadata:
        return ""
    return f"{float(field.metadata[b'low']):g} to {float(field.metadata[b'high']):g}"
