"""Run the sweep, the analysis and the report as other processors would, and compare every table.

    python -m experiments.machines suite=quick
    python -m experiments.machines suite=quick statistics=quick

Environment variables of separate processes set other BLAS kernels, numbers of threads, vector instructions, locales,
time zones and hash seeds, as far as this processor supports them. Choices must be equal to the last digit, and
every other number within a relative 1e-9. Results stay in build/machines; the exit code is 2 where a table differs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from experiments.setup.config import entry
from slm_orchestration import artifacts
from slm_orchestration.report.machines import Machine, agreement, emulated

FOLDER = Path("build/machines")


def main(cfg: DictConfig) -> None:
    """Run every machine in a folder of its own and print how it agrees with the first."""
    overrides = [word for word in HydraConfig.get().overrides.task if not word.startswith(("routing=", "tracking="))]
    machines = emulated()
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as pool:
        list(pool.map(lambda machine: run_all(machine, FOLDER, overrides), machines))
    wrong = show(machines, FOLDER)
    if wrong:
        raise ValueError(f"results depend on the machine: {'; '.join(wrong)}")
    print(f"the same results on {len(machines)} machines")


def run_all(
    machine: Machine, folder: Path, overrides: list[str], *, routing: str = "glob(*)", report: bool = True
) -> None:
    """Sweep, analyse and report in processes with the machine's environment. Raises ValueError with their last line."""
    where = folder / machine.name.replace(" ", "_")
    shutil.rmtree(where, ignore_errors=True)
    paths = [f"paths.{name}={where / name}" for name in ("results", "figures", "paper")]
    words = [*overrides, *paths, f"paths.page={where / 'page.html'}", "tracking=off"]
    for command in (["run", "-m", f"routing={routing}"], ["analyze"], *([["report"]] if report else [])):
        done = subprocess.run(
            [sys.executable, "-m", f"experiments.{command[0]}", *command[1:], *words],
            env=os.environ | machine.environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
            raise ValueError(f"{machine.name}: experiments.{command[0]} failed: {reason}")


def show(machines: list[Machine], folder: Path) -> list[str]:
    """Print a line per machine; return what differs from the first."""
    first, *others = [folder / machine.name.replace(" ", "_") for machine in machines]
    wrong = []
    for machine, where in zip(machines[1:], others, strict=True):
        found = agreement(where / "results", first / "results")
        pages = _equal_files(where, first, "paper/generated/*.typ")
        drawn = _equal_files(where, first, "figures/*.png")
        print(
            f"{machine.name:16} {found.tables - len(found.unequal)} of {found.tables} tables agree, numbers within "
            f"{found.largest:.1e}; {pages} printed tables and {drawn} figures have the same bytes"
        )
        wrong += [f"{machine.name}: {name}" for name in found.unequal]
    return wrong


def _equal_files(found: Path, expected: Path, pattern: str) -> str:
    names = sorted(path.relative_to(expected) for path in expected.glob(pattern))
    same = [
        (found / name).exists() and artifacts.sha256(found / name) == artifacts.sha256(expected / name)
        for name in names
    ]
    return f"{sum(same)} of {len(same)}"


if __name__ == "__main__":
    entry(main, "experiments.machines")
