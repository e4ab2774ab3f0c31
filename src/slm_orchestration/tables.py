"""The tables that stages exchange: their schemas, and the only way to check, read and write them.

Each column's unit, meaning and range stand in its field's metadata, so that `describe` prints the data dictionary and
`conform` enforces it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from slm_orchestration.files import replacing


class TableError(ValueError):
    """A table breaks its schema; the message names the table, the column and the row at fault."""


def _column(
    name: str,
    kind: pa.DataType,
    meaning: str,
    *,
    nullable: bool = False,
    limits: tuple[float, float] | None = None,
) -> pa.Field:
    metadata = {"meaning": meaning}
    if limits is not None:
        metadata |= {"low": repr(limits[0]), "high": repr(limits[1])}
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


def _schema(name: str, key: list[str], columns: list[pa.Field]) -> pa.Schema:
    return pa.schema(columns, metadata={"table": name, "key": ",".join(key)})


_TEXT, _NUMBER, _COUNT, _FLAG = pa.string(), pa.float64(), pa.int64(), pa.bool_()
_MESSAGES = pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT)]))
_SHARE, _POSITIVE, _ANY = (0.0, 1.0), (0.0, float("inf")), None

TASKS = _schema(
    "TASKS",
    ["task_id"],
    [
        _column("task_id", _TEXT, "domain/dataset/name, the same on every machine"),
        _column("domain", _TEXT, "one of the ten kinds of work"),
        _column("dataset", _TEXT, "where the task comes from"),
        _column("group", _TEXT, "tasks that share context or are near duplicates share a group"),
        _column("split", _TEXT, "pilot, fit, calibration or evaluation, from a hash of group"),
        _column("question", _TEXT, "the request without the dataset's template: all that a router reads of the prompt"),
        _column("messages", _MESSAGES, "chat messages that a model receives"),
        _column("choices", pa.list_(_TEXT), "labels of a multiple-choice task, else null", nullable=True),
        _column("reference", _TEXT, "what the scorer compares with; JSON where it needs more than text"),
        _column("scorer", _TEXT, "module of slm_orchestration.tasks.scoring that grades an answer"),
        _column("max_tokens", _COUNT, "most tokens an answer may have", limits=(1, 1e6)),
    ],
)

OUTCOMES = _schema(
    "OUTCOMES",
    ["task_id", "model", "repeat"],
    [
        _column("task_id", _TEXT, "as in TASKS"),
        _column("domain", _TEXT, "as in TASKS"),
        _column("dataset", _TEXT, "as in TASKS"),
        _column("group", _TEXT, "as in TASKS"),
        _column("split", _TEXT, "as in TASKS"),
        _column("model", _TEXT, "which model answered"),
        _column("repeat", _COUNT, "0 for the greedy answer, 1.. for samples", limits=_POSITIVE),
        _column("answer", _TEXT, "what the model said; null if the call failed", nullable=True),
        _column("quality", _NUMBER, "graded answer; null if the call failed", nullable=True, limits=_SHARE),
        _column("signals", _TEXT, "JSON: raw probabilities of the answer, as the model gave them", nullable=True),
        _column("confidence", _NUMBER, "calibrated P(correct); null until calibrated", nullable=True, limits=_SHARE),
        _column("prompt_tokens", _COUNT, "tokens read", nullable=True, limits=_POSITIVE),
        _column("completion_tokens", _COUNT, "tokens written", nullable=True, limits=_POSITIVE),
        _column(
            "latency_s", _NUMBER, "seconds from request to answer at concurrency one", nullable=True, limits=_POSITIVE
        ),
        _column("latency_source", _TEXT, "measured, or modelled by the latency profile", nullable=True),
        _column("device_s", _NUMBER, "device seconds at saturated batch", nullable=True, limits=_POSITIVE),
        _column("cost_usd", _NUMBER, "price of the call in US dollars", nullable=True, limits=_POSITIVE),
        _column("finish_reason", _TEXT, "choice, stop or length", nullable=True),
        _column("error", _TEXT, "why the call failed, else null", nullable=True),
    ],
)

DECISIONS = _schema(
    "DECISIONS",
    ["strategy", "threshold", "task_id"],
    [
        _column("strategy", _TEXT, "a router with a rule"),
        _column("threshold", _NUMBER, "null where the strategy has none", nullable=True, limits=_SHARE),
        _column("task_id", _TEXT, "as in TASKS"),
        _column("domain", _TEXT, "as in TASKS"),
        _column("models_called", pa.list_(_TEXT), "in the order of the calls; each is paid"),
        _column("model", _TEXT, "whose answer is served; guess for the answer without a model"),
        _column("escalated", _FLAG, "whether a model outside the small ones was called"),
        _column("quality", _NUMBER, "of the served answer", limits=_SHARE),
        _column("cost_usd", _NUMBER, "of all calls and of the router, in US dollars", limits=_POSITIVE),
        _column("latency_s", _NUMBER, "of all calls and of the router, in seconds", limits=_POSITIVE),
        _column("router_latency_s", _NUMBER, "of the router alone, in seconds", limits=_POSITIVE),
    ],
)

CURVES = _schema(
    "CURVES",
    ["strategy", "threshold", "domain"],
    [
        _column("strategy", _TEXT, "a router with a rule"),
        _column("threshold", _NUMBER, "null where the strategy has none", nullable=True, limits=_SHARE),
        _column("domain", _TEXT, "one of the ten, or overall"),
        _column("small_share", _NUMBER, "share of tasks whose called models are all small", limits=_SHARE),
        _column("quality", _NUMBER, "mean over tasks", limits=_SHARE),
        _column(
            "retention",
            _NUMBER,
            "mean quality over the dearest model's; null if that is 0",
            nullable=True,
            limits=_POSITIVE,
        ),
        _column("cost_usd", _NUMBER, "mean US dollars per task", limits=_POSITIVE),
        _column("latency_s", _NUMBER, "mean seconds per task", limits=_POSITIVE),
        _column("tasks", _COUNT, "how many tasks the means are over", limits=_POSITIVE),
    ],
)

OPERATING_POINTS = _schema(
    "OPERATING_POINTS",
    ["strategy"],
    [
        _column("strategy", _TEXT, "a router with a rule"),
        _column(
            "threshold",
            _NUMBER,
            "the one that is reported; null where the strategy has none",
            nullable=True,
            limits=_SHARE,
        ),
        _column("chosen_by", _TEXT, "the operating point's rule, applied to calibration tasks"),
        _column("tasks", _COUNT, "calibration tasks", limits=_POSITIVE),
    ],
)

ESTIMATES = _schema(
    "ESTIMATES",
    ["strategy", "domain", "metric"],
    [
        _column("strategy", _TEXT, "a router with a rule, at its operating point"),
        _column("domain", _TEXT, "one of the ten, or overall"),
        _column("metric", _TEXT, "as METRICS defines it"),
        _column("estimate", _NUMBER, "null where undefined on these tasks", nullable=True, limits=_ANY),
        _column("low", _NUMBER, "lower end of the interval", nullable=True),
        _column("high", _NUMBER, "upper end of the interval", nullable=True),
        _column("level", _NUMBER, "of the interval", limits=_SHARE),
        _column("tasks", _COUNT, "how many tasks", limits=_POSITIVE),
        _column("method", _TEXT, "how the interval was made, or why there is none"),
    ],
)

COMPARISONS = _schema(
    "COMPARISONS",
    ["strategy", "baseline", "domain", "metric", "test"],
    [
        _column("strategy", _TEXT, "a router with a rule, at its operating point"),
        _column("baseline", _TEXT, "what it is compared with on the same tasks"),
        _column("domain", _TEXT, "one of the ten, or overall"),
        _column("metric", _TEXT, "quality, cost_usd or latency_s"),
        _column("difference", _NUMBER, "mean of strategy minus baseline", nullable=True),
        _column("low", _NUMBER, "lower end of its 95 % interval", nullable=True),
        _column("high", _NUMBER, "upper end of its 95 % interval", nullable=True),
        _column("test", _TEXT, "which test"),
        _column("statistic", _NUMBER, "of the test; null where it cannot be computed", nullable=True),
        _column("p_value", _NUMBER, "two-sided unless the test says otherwise", nullable=True, limits=_SHARE),
        _column("p_adjusted", _NUMBER, "corrected over its family", nullable=True, limits=_SHARE),
        _column("effect_size", _NUMBER, "in the unit that effect_name says", nullable=True),
        _column("effect_name", _TEXT, "cohen_d_z, cohen_d_av or hedges_g_av", nullable=True),
        _column("tasks", _COUNT, "how many tasks", limits=_POSITIVE),
    ],
)


def conform(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """Return `frame` with exactly the columns of `schema`, in its order and types.

    Raises TableError on a missing or unknown column, a wrong type, a null or a value out of range, or a repeated key.
    """
    table, names = _table_name(schema), list(schema.names)
    if missing := [name for name in names if name not in frame.columns]:
        raise TableError(f"{table}: column {missing[0]!r} is missing")
    if unknown := [str(name) for name in frame.columns if name not in names]:
        raise TableError(f"{table}: column {unknown[0]!r} is unknown; the columns are {', '.join(names)}")
    return _to_pandas(_to_arrow(frame[names], schema))


def write(frame: pd.DataFrame, schema: pa.Schema, path: Path, *, metadata: dict[str, str]) -> None:
    """Check `frame` and write it as parquet, atomically; `metadata` says what made it (suite, pool, versions)."""
    conformed = _to_arrow(
        frame[list(schema.names)] if set(schema.names) == set(frame.columns) else conform(frame, schema), schema
    )
    described = {f"slm_orchestration.{key}": value for key, value in sorted(metadata.items())}
    with replacing(path) as temporary:
        pq.write_table(
            conformed.replace_schema_metadata({**(schema.metadata or {}), **described}), temporary, compression="zstd"
        )


def read(path: Path, schema: pa.Schema) -> pd.DataFrame:
    """Read and check a parquet table. Raises TableError naming the file if it is missing, unreadable or breaks `schema`."""
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
    """Return what `write` was told about a file, without reading its rows."""
    prefix = "slm_orchestration."
    pairs = (pq.read_schema(path).metadata or {}).items()
    return {
        key.decode().removeprefix(prefix): value.decode() for key, value in pairs if key.decode().startswith(prefix)
    }


def describe(schema: pa.Schema) -> pd.DataFrame:
    """Return the data dictionary of one table: column, type, whether it may be null, range, meaning."""
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
    table = _table_name(schema)
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


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas().reset_index(drop=True)


def _table_name(schema: pa.Schema) -> str:
    return schema.metadata[b"table"].decode()


def _range_text(field: pa.Field) -> str:
    if b"low" not in field.metadata:
        return ""
    return f"{float(field.metadata[b'low']):g} to {float(field.metadata[b'high']):g}"
