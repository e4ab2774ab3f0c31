"""Other processors, emulated, decide alike and print the same numbers; without the grid they would not."""

from pathlib import Path

import pandas as pd
import pytest

from experiments import machines
from slm_orchestration.report.machines import Machine, agreement, emulated

# What reads something from floating-point algebra, and the references that the analysis needs.
FITTED = "adaptive,boosting,knn,domain_table,matrix_factorization,bandit_thompson"
ROUTINGS = f"{FITTED},constant,guess,mixture,random"


def chosen() -> list[Machine]:
    """This machine, and those that differ most from it; `make machines` tries all."""
    machines = {machine.name.partition(" x")[0]: machine for machine in emulated()}
    return [machines[name] for name in ("this machine", "Prescott", "Haswell") if name in machines]


@pytest.mark.real
@pytest.mark.timeout(600)
def test_every_table_is_the_same_on_other_machines(medium_tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    words = ["suite=medium", "statistics=quick", f"paths.tasks={medium_tasks}"]
    for machine in chosen():
        machines.run_all(machine, tmp_path, words, routing=ROUTINGS, report=False)
    assert machines.show(chosen(), tmp_path) == []
    assert "tables agree, numbers within" in capsys.readouterr().out


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
