"""Compare results with the committed reference: numbers within a tolerance, choices one by one, files by bytes."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from threadpoolctl import threadpool_info

from slm_orchestration import artifacts

# Two numbers are equal within a relative 1e-9; near 0, where sums of rounded terms cancel, within 1e-12.
RTOL, ATOL = 1e-9, 1e-12
# Packages whose version may change rounding, drawing or file formats.
COMPUTING = ("matplotlib", "numpy", "pandas", "pingouin", "pyarrow", "scikit-learn", "scipy", "statsmodels", "typst")


def this_platform() -> dict[str, str]:
    """Return what equal bytes may depend on: system, processor, the kernels chosen for it, Python and libraries."""
    vectors = np.show_config(mode="dicts")["SIMD Extensions"]  # type: ignore[call-overload]
    kernels = [
        f"{pool.get('architecture')} x {pool['num_threads']}"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return {
        "system": f"{platform.system()} {' '.join(platform.libc_ver())}".strip(),
        "machine": platform.machine(),
        "vector instructions": " ".join(sorted([*vectors.get("baseline", []), *vectors.get("found", [])])),
        "BLAS kernels": ", ".join(sorted(set(kernels))),
        "python": platform.python_version(),
        **{package: version(package) for package in COMPUTING},
    }


def checksums(folders: Mapping[str, Path], patterns: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of every file under `folders` that matches a pattern, by `<folder's name>/<path in it>`."""
    found = {
        f"{name}/{path.relative_to(folder).as_posix()}": path
        for name, folder in folders.items()
        for pattern in patterns
        for path in folder.glob(pattern)
    }
    return {name: artifacts.sha256(found[name]) for name in sorted(found)}


def different_files(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Return what to say of each expected file that is missing or has other bytes."""
    return [
        f"{name} {'has other bytes' if name in found else 'is missing'}"
        for name, checksum in expected.items()
        if found.get(name) != checksum
    ]


@dataclass(frozen=True)
class Difference:
    """How one strategy's results differ from the reference.

    `numbers` cells of `rows` rows differ. `largest` is the largest difference of an estimate, in widths of the
    reference's interval (nan where none has an interval), and `where` names it.
    """

    strategy: str
    numbers: int
    rows: int
    largest: float
    where: str


def differences(found: pd.DataFrame, expected: pd.DataFrame, schema: pa.Schema) -> list[Difference]:
    """Return, by strategy, how a table of estimates differs from the reference; strategies that agree are left out.

    Numbers agree within RTOL and ATOL. A row that only one of the tables has differs in its key.
    """
    key = schema.metadata[b"key"].decode().split(",")
    both = found.merge(expected, on=key, how="outer", suffixes=("", " expected"), indicator=True)
    differs = (both["_merge"] != "both").to_numpy().astype(int)
    values = [name for name in schema.names if name not in key]
    for column in values:
        here, there = both[column], both[f"{column} expected"]
        if pd.api.types.is_numeric_dtype(expected[column]):
            same = np.isclose(here.astype(float), there.astype(float), rtol=RTOL, atol=ATOL, equal_nan=True)
        else:
            same = (here.eq(there) | (here.isna() & there.isna())).to_numpy()
        differs += (~same & (both["_merge"] == "both")).astype(int)
    value = "estimate" if "estimate" in values else "difference"
    width = both["high expected"] - both["low expected"]
    width = width.where(width > 0)
    moved = (both[value] - both[f"{value} expected"]).abs() / width
    found_differences = []
    for strategy, rows in both.assign(differs=differs, moved=moved).groupby("strategy", sort=True):
        if not rows["differs"].any():
            continue
        largest, where = float("nan"), ""
        if rows["moved"].notna().any():
            row = rows.sort_values("moved", kind="stable", na_position="first").iloc[-1]
            largest, where = float(row["moved"]), f"{row['metric']}, {row['domain']}"
        found_differences.append(Difference(str(strategy), int(rows["differs"].sum()), len(rows), largest, where))
    return found_differences


def different_choices(found: pd.DataFrame, expected: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Return, by strategy, how many of its CHOICES (a task at a threshold) differ from the reference, and of how many.

    A strategy that only one of the tables has differs in all.
    """
    key = ["strategy", "threshold", "task_id"]
    both = found.merge(expected, on=key, how="outer", suffixes=("", " expected"))
    # Thresholds that a strategy lacks are null on both sides, and merge joins nulls.
    both["differs"] = both["model"].ne(both["model expected"])
    counts = both.groupby("strategy")["differs"].agg(["sum", "size"])
    return {str(name): (int(row["sum"]), int(row["size"])) for name, row in counts.iterrows()}


def choices_of(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return CHOICES: whose answer each strategy serves for each task at each threshold; compact when written."""
    columns = ["strategy", "task_id", "threshold", "model"]
    return decisions[columns].sort_values(columns[:3], ignore_index=True)
