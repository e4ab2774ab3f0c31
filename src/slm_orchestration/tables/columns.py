"""How a schema is written: columns with their meaning and limits, tables with their name and key."""

from __future__ import annotations

import pyarrow as pa

TEXT, NUMBER, COUNT, FLAG = pa.string(), pa.float64(), pa.int64(), pa.bool_()
SHARE, POSITIVE = (0.0, 1.0), (0.0, float("inf"))


def column(
    name: str,
    kind: pa.DataType,
    meaning: str,
    *,
    nullable: bool = False,
    limits: tuple[float, float] | None = None,
) -> pa.Field:
    """Return a column; `limits` are the smallest and the largest allowed value, checked by `tables.conform`."""
    metadata = {"meaning": meaning}
    if limits is not None:
        metadata |= {"low": repr(limits[0]), "high": repr(limits[1])}
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


def schema(name: str, key: list[str], columns: list[pa.Field]) -> pa.Schema:
    """Return the schema of a table; no two rows may agree in all columns of `key`."""
    return pa.schema(columns, metadata={"table": name, "key": ",".join(key)})
