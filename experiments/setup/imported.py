"""Outcomes that were recorded elsewhere, as the configuration selects them (`pool=imported`, `pool=bridge`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, ListConfig, OmegaConf

from experiments.setup.build import build
from slm_orchestration import artifacts, tables
from slm_orchestration.outcomes.imported.bridge import bridge
from slm_orchestration.outcomes.imported.columns import AUTO, Naming
from slm_orchestration.outcomes.imported.files import READABLE
from slm_orchestration.outcomes.imported.reader import Imported, ImportOptions, read_imported, without_pilot
from slm_orchestration.outcomes.store import outcomes_path, read_outcomes
from slm_orchestration.routing.access import missing_inputs
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, imported_matrix
from slm_orchestration.routing.rules import CascadeRouting

BRIDGE = "bridge"


class OwnSide(NamedTuple):
    """This project's side of a bridge: the TASKS table, the folder of OUTCOMES, and the models, cheapest first."""

    tasks: Path
    recorded: Path
    models: tuple[str, ...]


def is_asked(cfg: DictConfig) -> bool:
    """Return whether the pool is one of imported outcomes."""
    return "outcomes" in cfg


def load(cfg: DictConfig) -> OutcomeMatrix:
    """Return the imported outcomes; the first read prints what was left out or assumed."""
    return _matrix(_path(cfg), selection(cfg), _checksum(cfg), _own_side(cfg))


def files_asked(cfg: DictConfig) -> list[Path]:
    """Return the files that `files` names. Raises ValueError if there is none, or if two have one name in tables."""
    if not cfg.files:
        raise ValueError("files=[...] names no recorded outcomes")
    found: dict[str, Path] = {}
    for path in (Path(str(name)) for name in cfg.files):
        if (name := _table_name(path)) in found:
            raise ValueError(f"files: {found[name]} and {path} would both be {name!r} in the table; rename one of them")
        found[name] = path
    return list(found.values())


def of_file(cfg: DictConfig, path: Path) -> tuple[OutcomeMatrix, str]:
    """Return the outcomes of one of several files, and the file's name without suffixes."""
    named = OmegaConf.merge(cfg, {"outcomes": str(path)})
    assert isinstance(named, DictConfig)
    return load(named), _table_name(path)


def reason_to_skip(cfg: DictConfig) -> str | None:
    """Return why the configured strategy cannot run on imported outcomes, or would repeat another one, or None."""
    if not is_asked(cfg):
        return None
    strategy, outcomes = build(cfg.routing.strategy), load(cfg)
    is_cascade = isinstance(getattr(strategy, "rule", None), CascadeRouting)
    if is_cascade and outcomes.answers["confidence"].isna().all():
        return "without the confidence of answers it never looks at one, and is the plain router of its predictions"
    return missing_inputs(strategy, outcomes)


def imported_outcomes(cfg: DictConfig) -> Imported:
    """Return the outcomes that the configuration names. Raises ValueError where it names none."""
    return _read(_path(cfg), selection(cfg), _checksum(cfg), _own_side(cfg))


def files_read(cfg: DictConfig) -> list[Path]:
    """Return the files that the outcomes come from."""
    path = _path(cfg)
    prices = [Path(cfg.token_prices)] if cfg.token_prices is not None else []
    if cfg.pool.name == BRIDGE:
        names = list(cfg.pool.own_models)
        prices += [Path(cfg.pool.tasks), *(outcomes_path(Path(cfg.pool.recorded), name) for name in names)]
    if not path.is_dir():
        return [path, *prices]
    return sorted(file for file in path.rglob("*") if file.name.lower().endswith(READABLE)) + prices


def _table_name(path: Path) -> str:
    return path.expanduser().resolve().name.split(".")[0]


def _own_side(cfg: DictConfig) -> OwnSide | None:
    pool = cfg.pool
    return OwnSide(Path(pool.tasks), Path(pool.recorded), tuple(pool.own_models)) if pool.name == BRIDGE else None


def _path(cfg: DictConfig) -> Path:
    if cfg.outcomes is None:
        raise ValueError("pool=imported needs outcomes=<file or folder>")
    return Path(str(cfg.outcomes)).expanduser()


def selection(cfg: DictConfig) -> ImportOptions:
    """Return which part of the outcomes the configuration selects."""
    listed = {"models": _names(cfg.models), "datasets": _names(cfg.datasets), "small": _names(cfg.small)}
    prices = None if cfg.token_prices is None else Path(str(cfg.token_prices))
    min_models = 1 if cfg.pool.name == BRIDGE else 2  # a bridge adds models of its own
    return ImportOptions(
        **listed,
        unanswered=str(cfg.unanswered),
        quality=str(cfg.quality),
        token_prices=prices,
        min_models=min_models,
        repeats=str(cfg.repeats),
        naming=Naming(_columns(cfg), _splits(cfg)),
    )


def _columns(cfg: DictConfig) -> tuple[tuple[str, str], ...] | str:
    told = cfg.columns
    if told == AUTO or told is None:
        return AUTO if told == AUTO else ()
    if not isinstance(told, DictConfig):
        raise ValueError(f"columns={told}: allowed is {AUTO}, or names as in columns={{task: instance_id}}")
    return tuple((str(ours), str(theirs)) for ours, theirs in told.items())


def _splits(cfg: DictConfig) -> tuple[tuple[str, tuple[str, ...]], ...]:
    told = {} if cfg.split is None else cfg.split
    if not isinstance(told, dict | DictConfig):
        raise ValueError(f"split={told}: allowed is as in split={{train: [fit,calibration], test: evaluation}}")
    return tuple(
        (str(theirs), (str(ours),) if not isinstance(ours, ListConfig) else tuple(map(str, ours)))
        for theirs, ours in told.items()
    )


def _names(listed: Sequence[object] | None) -> tuple[str, ...] | None:
    return None if listed is None else tuple(map(str, listed))


def _checksum(cfg: DictConfig) -> str:
    return " ".join(artifacts.sha256(path) for path in files_read(cfg) if path.is_file())


@lru_cache(maxsize=2)
def _read(path: Path, selection: ImportOptions, checksum: str, own: OwnSide | None) -> Imported:
    """Read once in a sweep; `checksum` is part of the cache key, so that changed files are read again."""
    others = read_imported(path, selection)
    if own is None:
        return without_pilot(others)
    if not own.tasks.exists():
        raise FileNotFoundError(f"{own.tasks}: no such file; conf/suite/{own.tasks.stem}.yaml says how to build it")
    return bridge(tables.read(own.tasks, tables.TASKS), read_outcomes(own.recorded, own.models), own.models, others)


@lru_cache(maxsize=2)
def _matrix(path: Path, selection: ImportOptions, checksum: str, own: OwnSide | None) -> OutcomeMatrix:
    imported = _read(path, selection, checksum, own)
    _print_summary(path, imported)
    return imported_matrix(imported)


def _print_summary(path: Path, imported: Imported) -> None:
    print(f"{path}: {len(imported.tasks)} tasks, {len(imported.models)} models, cheapest first; * is small")
    shown = [f"{name}*" if name in imported.small else name for name in imported.models]
    print("  " + (", ".join(shown) if len(shown) <= 12 else f"{', '.join(shown[:6])}, …, {', '.join(shown[-3:])}"))
    for remark in imported.remarks:
        print(f"  - {remark}")
