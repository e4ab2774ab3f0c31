"""The recorded evidence that comes with the project, which only a command with `record=true` changes."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from experiments.setup.paths import ROOT

_EVIDENCE = ("data/outcomes", "data/pilot.csv", "data/validation.csv", "data/feasibility.csv", "data/replay_speed.csv")
OWN = Path("data/live")


def is_committed(path: Path) -> bool:
    """Return whether `path` is part of the evidence, or lies in it."""
    return any(path.resolve().is_relative_to(ROOT / part) for part in _EVIDENCE)


def written_to(cfg: DictConfig, path: Path) -> Path:
    """Return where a measurement is written: `path`, or a file of the same name in data/live if that is evidence."""
    return path if cfg.record or not is_committed(path) else OWN / path.name


def require_writable(cfg: DictConfig, path: Path, instead: str) -> None:
    """Raise ValueError if `path` is evidence and `record` is not set; `instead` says what a user's own run names."""
    if is_committed(path) and not cfg.record:
        raise ValueError(f"{path}: recorded evidence; {instead}, or record=true to replace what is committed")


def output_folder(suite: str, pool: str, inference: str, results: str) -> str:
    """Return the folder of figures, paper and page: this one for the paper's own results, else the results' own."""
    return "." if (suite, pool, inference) == ("standard", "packaged", "recorded") else results
