"""Is a result the committed one? Numbers within a tolerance, files byte for byte, platforms by what computes."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from slm_orchestration import files

RTOL = 1e-9
# Another version of one of these may round, draw or write otherwise.
_COMPUTING = ("matplotlib", "numpy", "pandas", "pingouin", "pyarrow", "scikit-learn", "scipy", "statsmodels", "typst")


def this_platform() -> dict[str, str]:
    """Return what equal bytes may depend on: system, processor with its vector instructions, Python and libraries."""
    vectors = np.show_config(mode="dicts")["SIMD Extensions"]  # type: ignore[call-overload]
    return {
        "system": f"{platform.system()} {' '.join(platform.libc_ver())}".strip(),
        "machine": platform.machine(),
        "vector instructions": " ".join(sorted([*vectors.get("baseline", []), *vectors.get("found", [])])),
        "python": platform.python_version(),
        **{package: version(package) for package in _COMPUTING},
    }


def checksums(folders: Mapping[str, Path], patterns: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of every file under `folders` that matches a pattern, by `<folder's name>/<path in it>`."""
    found = {
        f"{name}/{path.relative_to(folder).as_posix()}": path
        for name, folder in folders.items()
        for pattern in patterns
        for path in folder.glob(pattern)
    }
    return {name: files.sha256(found[name]) for name in sorted(found)}


def different_files(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Return what to say of each expected file that is missing or has other bytes."""
    return [
        f"{name} {'has other bytes' if name in found else 'is missing'}"
        for name, checksum in expected.items()
        if found.get(name) != checksum
    ]


def different_numbers(found: pd.DataFrame, expected: pd.DataFrame, schema: pa.Schema) -> list[str]:
    """Return what to say of each row that only one table has and of each cell that differs; numbers by RTOL."""
    table, key = schema.metadata[b"table"].decode(), schema.metadata[b"key"].decode().split(",")
    both = found.merge(expected, on=key, how="outer", suffixes=("", " expected"), indicator=True)
    said = [
        f"{table}: {_row(row, key)} {'is missing' if row['_merge'] == 'right_only' else 'is not in the reference'}"
        for row in both[both["_merge"] != "both"].to_dict("records")
    ]
    shared = both[both["_merge"] == "both"]
    for column in [name for name in schema.names if name not in key]:
        here, there = shared[column], shared[f"{column} expected"]
        if pd.api.types.is_numeric_dtype(expected[column]):
            same = np.isclose(here.astype(float), there.astype(float), rtol=RTOL, atol=0.0, equal_nan=True)
        else:
            same = (here.eq(there) | (here.isna() & there.isna())).to_numpy()
        said += [
            f"{table}: {_row(row, key)}: {column} is {row[column]!r}, the reference has {row[f'{column} expected']!r}"
            for row in shared[~same].to_dict("records")
        ]
    return said


def _row(row: Mapping[Any, Any], key: Iterable[str]) -> str:
    return ", ".join(f"{name}={row[name]}" for name in key)
