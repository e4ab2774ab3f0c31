"""What every replay starts from: tasks and outcomes, checked, priced, calibrated and put side by side."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf, open_dict

from experiments import imported
from experiments.code_hash import code_sha256
from slm_orchestration import artifacts, tables
from slm_orchestration.outcomes.confidence import calibrate_confidence
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.routing import replay
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, outcome_matrix
from slm_orchestration.tasks.guess import guess_quality
from slm_orchestration.tasks.task import from_table


def load_outcomes(cfg: DictConfig) -> OutcomeMatrix:
    """Return the outcomes of the configured pool on the configured suite, or those that were imported."""
    if imported.is_asked(cfg):
        return imported.load(cfg)
    path = Path(cfg.paths.tasks)
    if not path.exists():
        raise ValueError(f"{path}: no such tasks; `python -m experiments.prepare suite={cfg.suite.name}` makes them")
    models = [model.name for model in cfg.pool.models]
    outcomes = calibrate_confidence(read_outcomes(Path(cfg.paths.outcomes), models))
    rows = _tasks(path, artifacts.sha256(path))
    return outcome_matrix(outcomes, rows, models, small=list(cfg.pool.small))


@lru_cache(maxsize=1)  # a sweep asks once per strategy, and grading a guess may start a sandbox
def _tasks(path: Path, sha256: str) -> pd.DataFrame:
    tasks = tables.read(path, tables.TASKS)
    return tasks[["task_id", "domain", "dataset", "group", "split", "question"]].assign(
        guess_quality=guess_quality(from_table(tasks))
    )


def models_and_tasks(cfg: DictConfig) -> tuple[list[str], pd.DataFrame]:
    """Return the pool's models, cheapest first, and a table that tells domain, dataset and group of each task."""
    if imported.is_asked(cfg):
        outcomes = imported.load(cfg)
        return list(outcomes.models), outcomes.tasks
    models = [str(model["name"]) for model in cfg.pool.models]
    return models, read_outcomes(Path(cfg.paths.outcomes), models[:1])


def fingerprint(cfg: DictConfig) -> str:
    """Return YAML that changes whenever a result may: the configuration, the tables read and the code."""
    # Where runs are logged changes no result.
    keys = [str(key) for key in cfg if key != "tracking"]
    asked = OmegaConf.to_container(OmegaConf.masked_copy(cfg, keys), resolve=True)
    assert isinstance(asked, dict)
    read = imported.files_read(cfg) if imported.is_asked(cfg) else recorded_files(cfg)
    asked["inputs"] = {str(path): artifacts.sha256(path) if path.exists() else None for path in read}
    asked["overhead"] = _overhead_row(Path(cfg.paths.overhead), OmegaConf.select(cfg, "routing.strategy.name"))
    asked["code"] = code_sha256(["experiments.run"], cfg.routing)
    return OmegaConf.to_yaml(OmegaConf.create(asked), sort_keys=True)


def recorded_files(cfg: DictConfig) -> list[Path]:
    """Return the tables of tasks and outcomes of a suite that this project recorded."""
    models = [model.name for model in cfg.pool.models]
    folder = Path(cfg.paths.outcomes)
    side = sorted(path for kind in ("states", "samples") for path in folder.glob(f"{kind}/*.parquet"))
    return [Path(cfg.paths.tasks), *(folder / f"{name}.parquet" for name in models), *side]


def configuration_hash(fingerprint: str) -> str:
    """Return the short name of a configuration."""
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:12]


def is_complete(folder: Path, names: list[str], fingerprint: str) -> bool:
    """Return whether a run folder holds its tables and was made by the same configuration."""
    saved = folder / "config.yaml"
    if not all((folder / name).exists() for name in [*names, saved.name]):
        return False
    return saved.read_text(encoding="utf-8") == fingerprint


def check_made_from_present_inputs(folder: Path, cfg: DictConfig) -> None:
    """Raise ValueError if a run folder was made from other outcomes, code, thresholds or operating point."""
    saved = OmegaConf.load(folder / "config.yaml")
    asked = cfg.copy()
    with open_dict(asked):
        asked.routing = OmegaConf.select(saved, "routing")  # which code a run depends on, its own router says
    present = OmegaConf.create(fingerprint(asked))
    for key in ("inputs", "code", "thresholds", "operating_point"):
        if OmegaConf.select(saved, key) != OmegaConf.select(present, key):
            raise ValueError(
                f"{folder}: made with other {key.replace('_', ' ')} than the present ones; run "
                f"`python -m experiments.run routing={folder.name}` again, or remove the folder"
            )


def _overhead_row(path: Path, strategy: str | None) -> dict[str, str] | None:
    profile = replay.read_overhead(path)
    return {str(key): str(value) for key, value in profile.loc[strategy].items()} if strategy in profile.index else None


def metadata(cfg: DictConfig, fingerprint: str) -> dict[str, str]:
    """Return what made a table, for its parquet metadata."""
    return {
        "suite": cfg.suite.name,
        "pool": cfg.pool.name,
        "inference": cfg.inference.name,
        "configuration": configuration_hash(fingerprint),
        "pandas": pd.__version__,
    }
