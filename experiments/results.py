"""The tables of one results folder: read, checked, and known by the configurations that made them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from slm_orchestration import tables
from slm_orchestration.figures import naming
from slm_orchestration.outcomes.confidence import calibrate_confidence
from slm_orchestration.outcomes.store import read_outcomes


@dataclass(frozen=True)
class Results:
    """The tables of one results folder; `decisions` holds every strategy at every threshold."""

    estimates: pd.DataFrame
    comparisons: pd.DataFrame
    measured: pd.DataFrame
    curves: pd.DataFrame
    operating_points: pd.DataFrame
    decisions: pd.DataFrame
    hull: list[str]
    configuration: str

    def at_operating_points(self) -> pd.DataFrame:
        """Return the decisions of each strategy at its operating point."""
        return self.decisions.merge(self.operating_points[["strategy", "threshold"]], on=["strategy", "threshold"])


def read_results(folder: Path) -> Results:
    """Return the tables of a results folder. Raises ValueError saying which command makes what is missing."""
    estimates = _read(folder / "estimates.parquet", tables.ESTIMATES, "experiments.analyze")
    if not naming.constants(estimates) or not naming.contenders(estimates):
        raise ValueError(
            f"{folder}: a report needs the constants and one more strategy; `python -m experiments.run` makes them"
        )
    runs = run_folders(folder)
    configuration = configuration_of(folder)
    analyzed = tables.read_metadata(folder / "estimates.parquet").get("configuration")
    if analyzed != configuration:
        raise ValueError(
            f"{folder / 'estimates.parquet'}: made from other runs ({analyzed}) than those that lie there "
            f"({configuration}); `python -m experiments.analyze` makes it anew"
        )
    return Results(
        estimates=estimates,
        comparisons=_read(folder / "comparisons.parquet", tables.COMPARISONS, "experiments.analyze"),
        measured=_read(folder / "measured.parquet", tables.ESTIMATES, "experiments.analyze"),
        curves=_all(runs, "curves", tables.CURVES),
        operating_points=_all(runs, "operating_points", tables.OPERATING_POINTS),
        decisions=_all(runs, "decisions", tables.DECISIONS),
        hull=json.loads((folder / "hull.json").read_text(encoding="utf-8")),
        configuration=configuration,
    )


def evaluated_outcomes(cfg: DictConfig) -> pd.DataFrame:
    """Return the outcomes of the pool on evaluation tasks, with their calibrated confidence."""
    models = [str(model["name"]) for model in cfg.pool.models]
    outcomes = calibrate_confidence(read_outcomes(Path(cfg.paths.outcomes), models))
    return outcomes[outcomes["split"] == "evaluation"].reset_index(drop=True)


def run_folders(folder: Path) -> list[Path]:
    """Return the complete runs of a results folder, by name."""
    return sorted(path.parent for path in folder.glob("*/config.yaml"))


def configuration_of(folder: Path) -> str:
    """Return one short name for the configurations of all runs: what they were asked, which tables they read."""
    digest = hashlib.sha256()
    for run in run_folders(folder):
        digest.update(f"{run.name}\n{(run / 'config.yaml').read_text(encoding='utf-8')}".encode())
    return digest.hexdigest()[:12]


def run_of(folder: Path, strategy: str) -> Path:
    """Return the run that replayed a strategy. Raises ValueError if none did."""
    for run in run_folders(folder):
        points = tables.read(run / "operating_points.parquet", tables.OPERATING_POINTS)
        if strategy in set(points["strategy"]):
            return run
    raise ValueError(f"{folder}: no run of {strategy!r}; `python -m experiments.run routing={strategy}` makes it")


def _all(runs: list[Path], name: str, schema: object) -> pd.DataFrame:
    return pd.concat([tables.read(run / f"{name}.parquet", schema) for run in runs], ignore_index=True)


def _read(path: Path, schema: object, command: str) -> pd.DataFrame:
    if not path.exists():
        raise ValueError(f"{path}: not there yet; `python -m {command}` makes it")
    return tables.read(path, schema)
