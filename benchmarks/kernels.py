"""How far the arithmetic of routers differs between processors, before and after the grid, and what the grid costs.

    python -m benchmarks.kernels            differences between this machine and the machines it can emulate
    python -m benchmarks.kernels steps      squared error of predicted quality by the step of the grid

Uses the medium suite (`make prepare`). Prints Markdown tables: for each router the largest difference of its input
vectors without the grid, of its predictions from inputs on the grid, and how many of its choices differ.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hydra.utils import instantiate

from experiments.setup.config import CONF, load_config
from experiments.setup.inputs import load_outcomes
from experiments.setup.side_tables import with_side_tables
from slm_orchestration.report.machines import emulated
from slm_orchestration.routing import access
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix
from slm_orchestration.routing.router import Router
from slm_orchestration.routing.strategy import FittedRoutedStrategy
from slm_orchestration.statistics import grid

STEPS = (4, 6, 8, 10, 12, 16, 20)
NO_GRID = 2.0**-52


def main() -> None:
    """Print the table that is asked for."""
    if sys.argv[1:2] == ["dump"]:
        np.savez(sys.argv[2], **dict(arithmetic()))
    elif sys.argv[1:] == ["steps"]:
        by_step()
    else:
        between_machines()


def between_machines() -> None:
    """Run the routers as every machine would, and print their largest differences from this one."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, machine in enumerate(emulated()):
            path = Path(folder) / f"{number}.npz"
            command = [sys.executable, "-m", "benchmarks.kernels", "dump", str(path)]
            subprocess.run(command, env=os.environ | machine.environment, check=True)
            found.append(dict(np.load(path)))
    print(f"{len(found) - 1} machines beside this one: {', '.join(machine.name for machine in emulated()[1:])}")
    print("| router | inputs, before the grid | predictions, inputs on the grid | choices that differ |")
    print("|---|---:|---:|---:|")
    for name in [key.partition(":")[0] for key in found[0] if key.endswith(":choices")]:
        inputs, predictions = (_largest(found, f"{name}:{kind}") for kind in ("inputs", "predictions"))
        changed = max(int((one[f"{name}:choices"] != found[0][f"{name}:choices"]).sum()) for one in found)
        print(f"| {name} | {inputs} | {predictions} | {changed} of {found[0][f'{name}:choices'].size:,} |")


def by_step() -> None:
    """Print the mean squared error of predicted quality on evaluation tasks for several steps of the grid."""
    usual = grid.STEP
    for exponent in STEPS:
        grid.STEP = 2.0**-exponent
        errors = []
        for name, strategy, evaluation in _fitted():
            if not name.startswith(("logistic", "boosting", "matrix", "domain", "bradley")):
                continue
            quality = grid.on_grid(_predicted(strategy.router, evaluation))
            errors.append(f"{name} {np.mean((quality - evaluation.quality) ** 2):.5f}")
        print(f"2^-{exponent}: {', '.join(errors)}")
    grid.STEP = usual


def arithmetic() -> Iterator[tuple[str, np.ndarray]]:
    """Yield `<routing>:inputs`, `:predictions` and `:choices` of every routed strategy, on evaluation tasks."""
    cfg = load_config("suite=medium")
    for name, strategy, evaluation in _fitted():
        yield f"{name}:predictions", _predicted(strategy.router, evaluation)
        (choices,) = strategy.choose(evaluation, np.array(cfg.thresholds)).values()
        yield f"{name}:choices", choices.served
    usual, grid.STEP = grid.STEP, NO_GRID
    fit, evaluation = (load_outcomes(cfg).where(split).tasks["question"] for split in ("fit", "evaluation"))
    for path in sorted((CONF / "routing").glob("*.yaml")):
        strategy = instantiate(load_config("suite=medium", f"routing={path.stem}").routing.strategy, _convert_="all")
        router = getattr(strategy, "router", None)
        vectors = getattr(router, "vectors", getattr(router, "prompt_vectors", None))
        if vectors is not None:
            yield f"{path.stem}:inputs", vectors.fit(fit).transform(evaluation)
    grid.STEP = usual


def _fitted() -> Iterator[tuple[str, FittedRoutedStrategy, OutcomeMatrix]]:
    outcomes = load_outcomes(load_config("suite=medium"))
    for path in sorted((CONF / "routing").glob("*.yaml")):
        cfg = load_config("suite=medium", f"routing={path.stem}")
        strategy = instantiate(cfg.routing.strategy, _convert_="all")
        if not hasattr(strategy, "router"):
            continue  # a reference predicts nothing
        try:
            beside = with_side_tables(cfg, strategy, outcomes)
            fitted = strategy.fit(beside.where("fit"), beside.where("calibration"))
        except NotRecorded:
            continue
        yield path.stem, fitted, beside.where("evaluation")


def _predicted(router: Router, outcomes: OutcomeMatrix) -> np.ndarray:
    """Return what a router predicts before the first call, not on the grid."""
    with patch.object(access, "on_grid", np.asarray):
        return access.guarded(router, outcomes)(())


def _largest(found: list[dict[str, np.ndarray]], key: str) -> str:
    if key not in found[0]:
        return "–"
    return f"{max(float(np.abs(one[key] - found[0][key]).max()) for one in found):.1e}"


if __name__ == "__main__":
    main()
