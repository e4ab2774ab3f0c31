"""The tables of one results folder, read and checked, and what published claims are tested against.

Claims are tested against estimates, counts of answered tasks, and the gateway's measurements where they exist.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from experiments.setup import imported
from experiments.setup.config import CONF
from experiments.setup.manifest import ANALYSIS, RUN, unlisted
from slm_orchestration import tables
from slm_orchestration.figures import naming
from slm_orchestration.outcomes.confidence import calibrate_confidence
from slm_orchestration.outcomes.store import read_manifest, read_outcomes
from slm_orchestration.report import claims
from slm_orchestration.report import measured as measurements
from slm_orchestration.report.numbers import Source

HULL = "hull.json"
# experiments.load and experiments.faults write these tables beside the recorded outcomes.
_LIVE = {
    "load.csv": (tables.LOAD, measurements.load_estimates),
    "faults.csv": (tables.FAULTS, measurements.fault_estimates),
}


@dataclass(frozen=True)
class Results:
    """The tables of one results folder; `decisions` holds every strategy at its operating point."""

    estimates: pd.DataFrame
    comparisons: pd.DataFrame
    robustness: pd.DataFrame
    measured: pd.DataFrame
    curves: pd.DataFrame
    operating_points: pd.DataFrame
    decisions: pd.DataFrame
    hull: list[str]
    configuration: str


def read_results(folder: Path) -> Results:
    """Return the tables of a results folder. Raises ValueError saying which command makes what is missing."""
    _check_listed(folder)
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
            f"{folder / 'estimates.parquet'}: made from other runs ({analyzed}) than those in the folder "
            f"({configuration}); `python -m experiments.analyze` makes it again"
        )
    return Results(
        estimates=estimates,
        comparisons=_read(folder / "comparisons.parquet", tables.COMPARISONS, "experiments.analyze"),
        robustness=_read(folder / "robustness.parquet", tables.ROBUSTNESS, "experiments.analyze"),
        measured=_read(folder / "measured.parquet", tables.ESTIMATES, "experiments.analyze"),
        curves=_all(runs, "curves", tables.CURVES),
        operating_points=_all(runs, "operating_points", tables.OPERATING_POINTS),
        decisions=pd.concat([_at_operating_points(run) for run in runs], ignore_index=True),
        hull=read_hull(folder),
        configuration=configuration,
    )


def read_hull(folder: Path) -> list[str]:
    """Return the mixture's vertices, cheapest first, as a run chose them on calibration tasks."""
    path = folder / HULL
    if not path.exists():
        raise ValueError(f"{path}: no such file; run python -m experiments.run routing=mixture first")
    try:
        vertices = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(vertices, list) or not all(isinstance(vertex, str) for vertex in vertices):
            raise ValueError("it holds no list of models")
    except ValueError as error:
        remedy = "`python -m experiments.run routing=mixture` makes it again"
        raise ValueError(f"{path}: not the models of the mixture ({error}); {remedy}") from error
    return vertices


def evaluated_outcomes(cfg: DictConfig) -> pd.DataFrame:
    """Return the outcomes of the pool on evaluation tasks, with their calibrated confidence."""
    models = [str(model["name"]) for model in cfg.pool.models]
    outcomes = calibrate_confidence(read_outcomes(Path(cfg.paths.outcomes), models))
    return outcomes[outcomes["split"] == "evaluation"].reset_index(drop=True)


def run_folders(folder: Path) -> list[Path]:
    """Return the complete runs of a results folder, by name."""
    return sorted(path.parent for path in folder.glob("*/config.yaml"))


def configuration_of(folder: Path) -> str:
    """Return one short hash of the configurations of all runs, checksums of their inputs included."""
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


def cross_fitted(cfg: DictConfig, name: str = "cross_fit") -> tuple[pd.DataFrame, Path]:
    """Return estimates over many splits, and their file: those of the results, else of the reference results.

    `name` is cross_fit, cross_fit_<fit tasks>, cross_fit_by_dataset, cross_fit_by_domain, or cross_fit_calibrated. A
    suite may have none; the table is then empty.
    """
    paths = [Path(folder) / f"{name}.parquet" for folder in (cfg.paths.results, cfg.paths.expected)]
    for path in paths:
        if path.exists():
            return tables.read(path, tables.ESTIMATES), path
    return pd.DataFrame(columns=tables.ESTIMATES.names), paths[0]


def by_fit_tasks(folders: Sequence[Path]) -> dict[int, tuple[pd.DataFrame, Path]]:
    """Return estimates over many splits and their file by the number of fit tasks; the first folder that has one wins.

    Files such as cross_fit_by_dataset_300 are another curve: their folds hold datasets that were never seen.
    """
    sizes: dict[int, tuple[pd.DataFrame, Path]] = {}
    for path in [path for folder in folders for path in folder.glob("cross_fit*.parquet")]:
        size = re.fullmatch(r"cross_fit(?:_(\d+))?", path.stem)
        if size:
            fit_tasks = int(size[1] or tables.read_metadata(path)["fitted"])
            sizes.setdefault(fit_tasks, (tables.read(path, tables.ESTIMATES), path))
    return dict(sorted(sizes.items()))


def measured(cfg: DictConfig) -> pd.DataFrame:
    """Return as ESTIMATES the counts of the pool's outcomes and the gateway's measurements, where they exist."""
    frames = [_counted(cfg)]
    for name, (schema, rows) in _LIVE.items():
        path = Path(cfg.inference.folder) / name
        if path.exists():
            frames.append(rows(tables.conform(pd.read_csv(path), schema)))
    return tables.conform(pd.concat(frames, ignore_index=True), tables.ESTIMATES)


def tested_claims(results: Results, repeated: pd.DataFrame, most_expensive: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the readings of the published quotes, tested, and one verdict per quote; `repeated` is cross-fitted."""
    published = published_claims()
    trivial = claims.trivial_curves(results.curves, most_expensive)
    evidence = claims.Evidence(results.estimates, repeated, results.measured, results.comparisons, trivial)
    evaluated = claims.readings(published, evidence)
    return evaluated, claims.quotes(evaluated, published)


def published_claims() -> list[claims.Claim]:
    """Return the claims of conf/claims.yaml."""
    rows = OmegaConf.to_container(OmegaConf.load(CONF / "claims.yaml"))
    if not isinstance(rows, list):
        raise ValueError("conf/claims.yaml must hold a list of claims")
    return claims.from_rows(rows)


def claim_sources(cfg: DictConfig, configuration: str) -> dict[str, Source]:
    """Return the file of each kind of evidence that claims are tested on, as `facts.claim_facts` takes them."""
    folder = Path(cfg.inference.folder)
    live = dict.fromkeys(("gateway_model", "gateway_cache", "routing", "cache"), Source(str(folder / "load.csv"), ""))
    models = [str(model["name"]) for model in cfg.pool.models] if "models" in cfg.pool else []
    pool = _largest_suite(cfg, models) / "manifest.json"
    return live | {
        "": Source("conf/claims.yaml", ""),
        "estimates": Source("estimates.parquet", configuration),
        "comparisons": Source("comparisons.parquet", configuration),
        "cross_fit": Source(str(cross_fitted(cfg)[1]), ""),
        "pool": Source(str(pool), ""),
        measurements.FAULTY: Source(str(folder / "faults.csv"), ""),
    }


def _counted(cfg: DictConfig) -> pd.DataFrame:
    if imported.is_asked(cfg):
        matrix = imported.load(cfg)
        # Imported outcomes are cut to the tasks that every model answered.
        answers = matrix.tasks[["task_id", "domain"]].merge(pd.DataFrame({"model": matrix.models}), how="cross")
        return measurements.pool_counts(answers.assign(quality=0.0), list(matrix.models))
    models = [str(model["name"]) for model in cfg.pool.models]
    return measurements.pool_counts(read_outcomes(_largest_suite(cfg, models), models), models)


def _largest_suite(cfg: DictConfig, models: list[str]) -> Path:
    """Return the folder beside the suite's, or its own, in which all models answered the most tasks."""
    asked = Path(cfg.paths.outcomes)
    manifests = {folder: read_manifest(folder) for folder in [asked, *sorted(asked.parent.glob("*/"))]}
    answered = {
        folder: min(entries[model]["rows"] for model in models)
        for folder, entries in manifests.items()
        if all(model in entries for model in models)
    }
    return max(answered, key=answered.__getitem__, default=asked)


def _check_listed(folder: Path) -> None:
    """Raise ValueError unless all tables are those of one analysis, and of the runs as they were written."""
    if (folder / "estimates.parquet").exists() and (changed := unlisted(folder / ANALYSIS)) is not None:
        raise ValueError(
            f"{changed}: not made by one whole analysis with the other tables; `python -m experiments.analyze` "
            "makes them again"
        )
    for run in run_folders(folder):
        if (changed := unlisted(run / RUN)) is not None:
            raise ValueError(
                f"{changed}: missing, damaged or changed since {run} was made; `python -m experiments.run "
                f"routing={run.name}` makes it again"
            )


def _all(runs: list[Path], name: str, schema: object) -> pd.DataFrame:
    return pd.concat([tables.read(run / f"{name}.parquet", schema) for run in runs], ignore_index=True)


def _at_operating_points(run: Path) -> pd.DataFrame:
    """Return the decisions of one run at its operating points; those of all runs and thresholds would fill memory."""
    points = tables.read(run / "operating_points.parquet", tables.OPERATING_POINTS)
    decisions = tables.read(run / "decisions.parquet", tables.DECISIONS)
    return decisions.merge(points[["strategy", "threshold"]], on=["strategy", "threshold"])


def _read(path: Path, schema: object, command: str) -> pd.DataFrame:
    if not path.exists():
        raise ValueError(f"{path}: no such file; `python -m {command}` makes it")
    return tables.read(path, schema)
