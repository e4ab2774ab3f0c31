"""Emulated machines, and the agreement of their tables."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from slm_orchestration.report.machines import agreement, emulated


def test_a_processor_emulates_only_kernels_whose_instructions_it_has():
    names = [machine.name for machine in emulated({"pni", "avx2"})]
    assert names == ["this machine", "one thread", "Prescott x 1", "Haswell x 2", "Zen x 1"]
    assert [machine.name for machine in emulated(set())] == ["this machine", "one thread"]


def test_a_table_that_differs_in_a_choice_or_beyond_rounding_is_named(tmp_path: Path):
    for folder, factor in (("a", 1.0), ("b", 1 + 1e-12), ("c", 1 + 1e-6)):
        (tmp_path / folder).mkdir()
        frame = pd.DataFrame({"estimate": [0.5 * factor, 0.0], "method": "m"})
        frame.to_parquet(tmp_path / folder / "estimates.parquet")
        frame.to_parquet(tmp_path / folder / "decisions.parquet")
    assert agreement(tmp_path / "a", tmp_path / "a").unequal == []
    assert agreement(tmp_path / "b", tmp_path / "a").unequal == ["decisions.parquet"]
    assert agreement(tmp_path / "c", tmp_path / "a").unequal == ["decisions.parquet", "estimates.parquet"]


def test_what_is_missing_or_is_no_number_differs_and_the_largest_difference_is_kept(tmp_path: Path):
    for folder, method, factor in (("a", "m", 1.0), ("b", "other", 1.0), ("c", "m", 1 + 1e-6)):
        (tmp_path / folder / "run").mkdir(parents=True)
        frame = pd.DataFrame({"estimate": [0.5 * factor, None], "method": method})
        frame.to_parquet(tmp_path / folder / "run" / "estimates.parquet")
    (tmp_path / "empty").mkdir()
    assert agreement(tmp_path / "empty", tmp_path / "a").unequal == ["run/estimates.parquet (missing)"]
    assert agreement(tmp_path / "b", tmp_path / "a").unequal == ["run/estimates.parquet"]
    found = agreement(tmp_path / "c", tmp_path / "a")
    assert (found.tables, found.unequal) == (1, ["run/estimates.parquet"])
    assert found.largest == pytest.approx(1e-6)


def test_an_emulated_kernel_is_the_one_that_numpy_computes_with():
    machines = {machine.name.partition(" x")[0]: machine for machine in emulated()}
    if "Prescott" not in machines:
        pytest.skip("this is no x86 processor")
    code = "import numpy, threadpoolctl; print([pool.get('architecture') for pool in threadpoolctl.threadpool_info()])"
    environment = os.environ | machines["Prescott"].environment
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    # OpenBLAS reports this kernel by the name of the oldest processor that it serves.
    assert "Prescott" in said.stdout or "Katmai" in said.stdout
