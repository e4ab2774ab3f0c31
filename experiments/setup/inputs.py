"""What commands start from: tasks, models and outcomes, checked, priced and calibrated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from experiments.setup import imported
from experiments.setup.code_hash import code_sha256
from experiments.setup.manifest import RUN, unlisted
from experiments.setup.overheads import classifier_overhead, read_overheads
from slm_orchestration import artifacts, tables
from slm_orchestration.models.prices import read_prices
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.latency import price_outcomes, read_profile
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.routing.classifier import with_classifier
from slm_orchestration.routing.labels import calibrated_labels, with_confidence
from slm_orchestration.routing.outcome_matrix import (
    OutcomeMatrix,
    outcome_matrix,
)
from slm_orchestration.serving.pool import load_strategy
from slm_orchestration.statistics.strategy_matrix import CLASSIFIER
from slm_orchestration.tasks import sandbox
from slm_orchestration.tasks.guess import guess_quality
from slm_orchestration.tasks.task import Task, from_table, request_views

T = TypeVar("T")


def load_tasks(cfg: DictConfig) -> list[Task]:
    """Return the tasks of the configured suite. Raises ValueError if they were not prepared."""
    return from_table(tables.read(_tasks_path(cfg), tables.TASKS))


def chosen_models(cfg: DictConfig) -> list[DictConfig]:
    """Return the configurations of the models to run: those of the pool, or the one that `model=` names."""
    names = [node.name for node in cfg.pool.models]
    wanted = cfg.model
    if wanted is not None and wanted not in names:
        raise ValueError(f"model={wanted}: the pool {cfg.pool.name} has {', '.join(names)}")
    return [node for node in cfg.pool.models if wanted in (None, node.name)]


def random_sample(items: Sequence[T], *, n: int, seed: int) -> list[T]:
    """Return `n` random items in their order; all of them if there are fewer."""
    rows = np.random.default_rng(seed).permutation(len(items))[:n]
    return [items[row] for row in sorted(rows)]


def require_sandbox(tasks: Sequence[Task]) -> None:
    """Raise SandboxUnavailable, before any work, if code is to be graded and this machine cannot confine it."""
    if any(task.scorer == "unit_tests" for task in tasks):
        sandbox.require()


def priced_outcomes(cfg: DictConfig, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return OUTCOMES with latency and cost from the configured latency profile and price table.

    Rows whose seconds were measured keep theirs.
    """
    if not (outcomes["latency_source"] == "measured").all():
        _check_measured(Path(cfg.paths.profile))
    return tables.conform(priced(cfg, outcomes), tables.OUTCOMES)


def priced(cfg: DictConfig, answers: pd.DataFrame) -> pd.DataFrame:
    """Return answers with latency and cost from the configured latency profile and price table, not conformed."""
    return price_outcomes(answers, read_profile(Path(cfg.paths.profile)), read_prices(Path(cfg.pool.prices)))


def priced_samples(cfg: DictConfig, samples: pd.DataFrame) -> pd.DataFrame:
    """Return SAMPLES with latency and cost from the configured latency profile and price table."""
    return tables.conform(priced(cfg, samples).drop(columns="latency_source"), tables.SAMPLES)


def rewrite_if_changed(folder: Path, model: str, before: pd.DataFrame, after: pd.DataFrame) -> bool:
    """Write regraded or repriced outcomes and print what changed; return whether anything did."""
    if after.equals(before):
        return False
    store.rewrite_outcomes(after, folder, model)
    for name in ("quality", "latency_s", "device_s", "cost_usd"):
        old, new = before[name], after[name]
        changed = int((old.ne(new) & (old.notna() | new.notna())).sum())
        if changed:
            was = f"{old.mean():.6g}" if old.notna().any() else "none"
            print(f"{model}: {name} changed in {changed} of {len(after)} rows, mean {was} to {new.mean():.6g}")
    return True


def load_outcomes(cfg: DictConfig) -> OutcomeMatrix:
    """Return the outcomes of the configured pool on the configured suite, or those that were imported."""
    return (
        imported.load(cfg)
        if imported.is_asked(cfg) and cfg.answers.name == "recorded"
        else _answered(*settings_and_inputs(cfg))
    )


def recorded_outcomes(cfg: DictConfig) -> OutcomeMatrix:
    """Return the outcomes without calibrated confidences, for callers that change the split and then call `answered`.

    Imported outcomes have confidences, calibrated on the split that they came with.
    """
    return imported.load(cfg) if imported.is_asked(cfg) else _recorded(*settings_and_inputs(cfg))


def answered(cfg: DictConfig, outcomes: OutcomeMatrix) -> OutcomeMatrix:
    """Return the outcomes with what is learned on their fit split: confidences, and corrected choices where asked for.

    `answers=calibrated` asks for corrected choices, `pool.classifier=true` adds the classifier as the cheapest model.
    Raises NotRecorded where choices cannot be calibrated.
    """
    if cfg.answers.name == "calibrated":
        outcomes = calibrated_labels(outcomes, seed=int(cfg.seed))
    elif not imported.is_asked(cfg):
        outcomes = with_confidence(outcomes)
    if not cfg.pool.get("classifier", False):
        return outcomes
    classifier = load_strategy(CLASSIFIER, seed=int(cfg.seed))
    return with_confidence(
        with_classifier(outcomes, classifier, overhead=classifier_overhead(cfg, classifier, outcomes))
    )


def settings_and_inputs(cfg: DictConfig) -> tuple[str, tuple[str, ...]]:
    """Return what outcomes depend on: the configuration without the strategy, and the checksums of what is read."""
    if imported.is_asked(cfg):
        read = imported.files_read(cfg)
    else:
        _tasks_path(cfg)
        read = [*recorded_files(cfg), Path(cfg.paths.profile), Path(cfg.pool.prices)]
    others = [str(key) for key in cfg if key not in ("routing", "operating_point", "tracking")]
    checksums = tuple(artifacts.sha256(path) for path in read if path.exists())
    return OmegaConf.to_yaml(OmegaConf.masked_copy(cfg, others), resolve=True), checksums


@lru_cache(maxsize=1)  # a sweep needs them once per strategy
def _answered(asked: str, checksums: tuple[str, ...]) -> OutcomeMatrix:
    cfg = OmegaConf.create(asked)
    assert isinstance(cfg, DictConfig)
    return answered(cfg, imported.load(cfg) if imported.is_asked(cfg) else _recorded(asked, checksums))


@lru_cache(maxsize=1)
def _recorded(asked: str, checksums: tuple[str, ...]) -> OutcomeMatrix:
    cfg = OmegaConf.create(asked)
    assert isinstance(cfg, DictConfig)
    path = Path(cfg.paths.tasks)
    models = [model.name for model in cfg.pool.models]
    outcomes = priced_outcomes(cfg, read_outcomes(Path(cfg.paths.outcomes), models))
    rows = _tasks_with_guess(path, artifacts.sha256(path))
    return outcome_matrix(outcomes, rows, models, small=list(cfg.pool.small))


def models_and_tasks(cfg: DictConfig) -> tuple[list[str], pd.DataFrame]:
    """Return the pool's models, cheapest first, and a table with domain, dataset and group of each task."""
    if imported.is_asked(cfg):
        outcomes = imported.load(cfg)
        return list(outcomes.models), outcomes.tasks
    models = [str(model["name"]) for model in cfg.pool.models]
    return models, read_outcomes(Path(cfg.paths.outcomes), models[:1])


def seconds_are_modelled(cfg: DictConfig) -> bool:
    """Return whether seconds and dollars of the pool follow from the latency profile, at least for some calls."""
    models = [str(model["name"]) for model in cfg.pool.models]
    outcomes = read_outcomes(Path(cfg.paths.outcomes), models)
    return not bool((outcomes["latency_source"] == "measured").all())


def fingerprint(cfg: DictConfig) -> str:
    """Return YAML that changes whenever a result may: the configuration, the checksums of the inputs and the code."""
    # Where runs are logged and measurements written changes no result.
    keys = [str(key) for key in cfg if key not in ("tracking", "record")]
    asked = OmegaConf.to_container(OmegaConf.masked_copy(cfg, keys), resolve=True)
    assert isinstance(asked, dict)
    read = [*(imported.files_read(cfg) if imported.is_asked(cfg) else recorded_files(cfg)), Path(cfg.pool.prices)]
    asked["inputs"] = {str(path): artifacts.sha256(path) if path.exists() else None for path in read}
    profile, pool = read_profile(Path(cfg.paths.profile)), [str(model.name) for model in cfg.pool.get("models", [])]
    asked["latency profile"] = profile[profile["model"].isin(pool)].astype(str).to_dict("records")
    asked["overhead"] = _overhead_row(read_overheads(cfg), OmegaConf.select(cfg, "routing.strategy.name"))
    asked["code"] = code_sha256(["experiments.run"], cfg.routing)
    return OmegaConf.to_yaml(OmegaConf.create(asked), sort_keys=True)


def recorded_files(cfg: DictConfig) -> list[Path]:
    """Return the tables of tasks, outcomes and side tables of a suite that this project recorded."""
    models = [model.name for model in cfg.pool.models]
    folder = Path(cfg.paths.outcomes)
    side = sorted(path for kind in ("states", "samples") for path in folder.glob(f"{kind}/*.parquet"))
    return [Path(cfg.paths.tasks), *(folder / f"{name}.parquet" for name in models), *side]


def configuration_hash(fingerprint: str) -> str:
    """Return the short name of a configuration: 12 hexadecimal digits."""
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:12]


def is_complete(folder: Path, fingerprint: str) -> bool:
    """Return whether a run folder was made by the same configuration and holds the tables that were written then."""
    saved = folder / "config.yaml"
    if not saved.exists() or saved.read_text(encoding="utf-8", errors="replace") != fingerprint:
        return False
    return unlisted(folder / RUN) is None


def check_made_from_present_inputs(folder: Path, cfg: DictConfig) -> None:
    """Raise ValueError if a run folder was made from other outcomes, code, thresholds or operating point."""
    again = f"run `python -m experiments.run routing={folder.name}` again, or remove the folder"
    if (changed := unlisted(folder / RUN)) is not None:
        raise ValueError(f"{changed}: missing, damaged or changed since {folder} was made; {again}")
    saved = saved_configuration(folder)
    asked = cfg.copy()
    with open_dict(asked):
        asked.routing = OmegaConf.select(saved, "routing")  # the code that a run depends on includes its own router
    present = OmegaConf.create(fingerprint(asked))
    for key in ("inputs", "code", "thresholds", "operating_point"):
        made_with, found = OmegaConf.select(saved, key), OmegaConf.select(present, key)
        if made_with != found and isinstance(made_with, DictConfig) and key == "inputs":
            others = sorted(str(path) for path in {*made_with, *found} if made_with.get(path) != found.get(path))
            raise ValueError(f"{', '.join(others)}: {folder} was made with other inputs; {again}")
        if made_with != found:
            raise ValueError(f"{folder}: made with other {key.replace('_', ' ')} than the present ones; {again}")


def saved_configuration(folder: Path) -> DictConfig:
    """Return the configuration that a run folder was made with. Raises ValueError naming the file if it is damaged."""
    path = folder / "config.yaml"
    try:
        saved = OmegaConf.load(path)
        if not isinstance(saved, DictConfig) or "inputs" not in saved:
            raise ValueError("it names no inputs")
    except (ValueError, YAMLError, OmegaConfBaseException) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path}: not the configuration of a run ({reason}); run `python -m experiments.run routing={folder.name}` "
            "again, or remove the folder"
        ) from error
    return saved


def metadata(cfg: DictConfig, fingerprint: str) -> dict[str, str]:
    """Return the parquet metadata that says what made a table."""
    return {
        "suite": str(cfg.suite.name),
        "pool": str(cfg.pool.name),
        "inference": str(cfg.inference.name),
        "configuration": configuration_hash(fingerprint),
        "pandas": pd.__version__,
    }


def _tasks_path(cfg: DictConfig) -> Path:
    path = Path(cfg.paths.tasks)
    if not path.exists():
        raise ValueError(f"{path}: no such tasks; `python -m experiments.prepare suite={cfg.suite.name}` makes them")
    return path


@lru_cache(maxsize=1)  # a sweep needs them once per strategy, and grading a guess may start a sandbox
def _tasks_with_guess(path: Path, sha256: str) -> pd.DataFrame:
    tasks = tables.read(path, tables.TASKS)
    about = tasks[["task_id", "domain", "dataset", "group", "split", "question", "choices", "reference"]]
    return about.join(request_views(tasks["messages"])).assign(guess_quality=guess_quality(from_table(tasks)))


def _check_measured(profile: Path) -> None:
    if not profile.exists():
        measured = ", ".join(sorted(path.stem for path in profile.parent.glob("*.csv")))
        raise ValueError(
            f"{profile}: no such latency profile; measured are {measured}. On that machine, "
            f"`python -m experiments.collect inference=live profile={profile.stem}` measures one"
        )


def _overhead_row(profile: pd.DataFrame, strategy: str | None) -> dict[str, str] | None:
    return {str(key): str(value) for key, value in profile.loc[strategy].items()} if strategy in profile.index else None
