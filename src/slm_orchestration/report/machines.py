"""Emulation of other machines by environment variables, and the agreement of the tables made on two of them."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slm_orchestration.report.reference import ATOL, RTOL

# Tables of choices and what follows from them by exact arithmetic: equal to the last digit.
EXACT = ("decisions.parquet", "curves.parquet", "operating_points.parquet")
_WIDE = "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
# Kernels of OpenBLAS by the processor flag that they need; a kernel that the processor lacks ends the process.
_KERNELS = {"Prescott": "pni", "Haswell": "avx2", "Zen": "avx2", "SkylakeX": "avx512f"}


@dataclass(frozen=True)
class Machine:
    """Environment variables that make numpy, OpenBLAS and Python behave as on another machine."""

    name: str
    environment: dict[str, str]


@dataclass(frozen=True)
class Agreement:
    """How the tables of one machine agree with those of another.

    `unequal` names the tables that differ: in any digit for EXACT, else by more than RTOL and ATOL; `largest` is the
    largest relative difference of a number, `tables` how many were compared.
    """

    tables: int
    unequal: list[str]
    largest: float


def emulated(flags: set[str] | None = None) -> list[Machine]:
    """Return the machines that this processor can stand for, itself first; `flags` are those of /proc/cpuinfo."""
    flags = processor_flags() if flags is None else flags
    machines = [Machine("this machine", {}), Machine("one thread", {"OPENBLAS_NUM_THREADS": "1"})]
    for number, kernel in enumerate(name for name, flag in _KERNELS.items() if flag in flags):
        environment = {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": str(1 + number % 2)}
        if kernel == "Prescott":
            environment["NPY_DISABLE_CPU_FEATURES"] = _WIDE
        # Locale, time zone and hash seed: no number may depend on these either.
        environment |= {
            "LC_ALL": "C",
            "TZ": ("Asia/Kathmandu", "America/St_Johns")[number % 2],
            "PYTHONHASHSEED": str(number),
        }
        machines.append(Machine(f"{kernel} x {environment['OPENBLAS_NUM_THREADS']}", environment))
    return machines


def processor_flags() -> set[str]:
    """Return the flags of this processor, empty where the system does not tell or it is no x86."""
    path = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not path.exists():
        return set()
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("flags")]
    return set(lines[0].partition(":")[2].split()) if lines else set()


def agreement(found: Path, expected: Path) -> Agreement:
    """Return how the parquet tables under `found` agree with those under `expected`, by their paths."""
    names = sorted(path.relative_to(expected) for path in expected.rglob("*.parquet"))
    unequal, largest = [], 0.0
    for name in names:
        if not (found / name).exists():
            unequal.append(f"{name} (missing)")
            continue
        here, there = (pq.read_table(folder / name).to_pandas() for folder in (found, expected))
        distance = _distance(here, there)
        largest = max(largest, distance if np.isfinite(distance) else 0.0)
        if distance > (0.0 if name.name in EXACT else RTOL):
            unequal.append(str(name))
    return Agreement(len(names), unequal, largest)


def _distance(here: pd.DataFrame, there: pd.DataFrame) -> float:
    """Return the largest relative difference of two tables' numbers, inf where anything else differs."""
    if here.shape != there.shape or list(here.columns) != list(there.columns):
        return float("inf")
    largest = 0.0
    for column in there.columns:
        one, other = here[column], there[column]
        if not pd.api.types.is_numeric_dtype(other) or pd.api.types.is_bool_dtype(other):
            if one.map(str).ne(other.map(str)).any():
                return float("inf")
            continue
        largest = max(largest, _relative(one.to_numpy(float), other.to_numpy(float)))
    return largest


def _relative(here: NDArray[np.float64], there: NDArray[np.float64]) -> float:
    if (np.isnan(here) != np.isnan(there)).any():
        return float("inf")
    apart = np.abs(here - there)
    close = (here == there) | np.isnan(here) | ((apart <= ATOL) & (np.abs(there) < ATOL / RTOL))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max((apart / np.abs(there))[~close], initial=0.0))
