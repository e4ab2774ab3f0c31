"""Other processors, emulated, decide alike and print the same numbers; without the grid they would not."""

from pathlib import Path

import pytest

from experiments import machines
from slm_orchestration.report.machines import Machine, emulated

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
