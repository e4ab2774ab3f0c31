"""Seconds and memory of the pipeline's stages as tasks grow: sweep, analyze and report of the recorded suites.

python -m benchmarks.pipeline_scaling                    medium, standard, wide: half an hour of two cores
python -m benchmarks.pipeline_scaling quick medium

Runs each stage as `make reproduce` does, into a temporary folder and without MLflow, and prints a Markdown table.
Memory is the largest resident size of the stage's process. Measure while nothing else runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments.setup.config import load_config
from slm_orchestration import tables

STAGES = {
    "sweep": ["experiments.run", "--multirun", "routing=glob(*)"],
    "analyze": ["experiments.analyze"],
    "report": ["experiments.report"],
}


def main(suites: list[str]) -> None:
    """Print the table of the suites named."""
    print("| tasks | strategies | " + " | ".join(f"{stage}: s, GB" for stage in STAGES) + " |")
    print("|---:|---:|" + "---:|" * len(STAGES))
    for suite in suites:
        with tempfile.TemporaryDirectory() as folder:
            measured = [measure(stage, suite, Path(folder)) for stage in STAGES]
            strategies = len(list(Path(folder).glob("results/*/config.yaml")))
        cells = " | ".join(f"{seconds:.0f}, {gigabytes:.1f}" for seconds, gigabytes in measured)
        print(f"| {tasks_of(suite):,} | {strategies} | {cells} |", flush=True)


def measure(stage: str, suite: str, folder: Path) -> tuple[float, float]:
    """Return the seconds and the peak memory in GB of one stage. Raises CalledProcessError if it fails."""
    words = [f"paths.{name}={folder / name}" for name in ("results", "figures", "paper")]
    command = [sys.executable, "-m", *STAGES[stage], f"suite={suite}", "tracking=off", *words]
    if stage == "report":
        command.append(f"paths.page={folder / 'report' / 'index.html'}")
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - started, used.ru_maxrss / 2**20


def tasks_of(suite: str) -> int:
    """Return how many tasks a prepared suite has."""
    return len(tables.read(Path(load_config(f"suite={suite}").paths.tasks), tables.TASKS))


if __name__ == "__main__":
    main(sys.argv[1:] or ["medium", "standard", "wide"])
