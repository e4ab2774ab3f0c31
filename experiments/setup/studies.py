"""Studies of all strategies: a table per strategy beside its run, and one of all that the paper prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from experiments.setup import imported, inputs
from experiments.setup.build import build
from experiments.setup.side_tables import with_side_tables
from slm_orchestration.artifacts import write_text
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix
from slm_orchestration.routing.strategy import Strategy

STUDIES = ("certified", "predictions")
MADE_BY = "made_by"  # the hash of the settings and the inputs that a strategy's table was made from


def write_part(cfg: DictConfig, name: str, make: Callable[[Strategy, OutcomeMatrix], pd.DataFrame]) -> None:
    """Write and print what `make` returns for the configured strategy and the outcomes, with what the strategy reads.

    Where it raises NotRecorded, a line says why the strategy is skipped. `name` is one of STUDIES.
    """
    reason = imported.reason_to_skip(cfg)
    if reason:
        print(f"{cfg.routing.name}: skipped, as {reason}")
        return
    strategy = build(cfg.routing.strategy)
    try:
        frame = make(strategy, with_side_tables(cfg, strategy, inputs.load_outcomes(cfg)))
    except NotRecorded as error:
        print(f"{cfg.routing.name}: skipped, {error}")
        return
    path = Path(cfg.paths.results) / cfg.routing.name / f"{name}.csv"
    write_text(path, _csv(frame.assign(**{MADE_BY: made_by(cfg)})))
    print(f"{as_text(frame)}\ntable: {path}")


def read_parts(cfg: DictConfig, name: str) -> pd.DataFrame:
    """Return the tables of all strategies that were made with the present settings and inputs; empty if there is none.

    A line names those that were made with others. A strategy's table is `name`.csv beside its run.
    """
    present, kept, others = made_by(cfg), [], []
    for path in sorted(Path(cfg.paths.results).glob(f"*/{name}.csv")):
        frame = pd.read_csv(path)
        if set(frame.get(MADE_BY, ())) == {present}:
            kept.append(frame.drop(columns=MADE_BY))
        else:
            others.append(path.parent.name)
    if others:
        print(f"left out, as made with other settings or inputs: {', '.join(others)}")
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame()


def write_study(cfg: DictConfig, name: str, frame: pd.DataFrame) -> Path:
    """Write the table of all strategies into the folder of results and return its path."""
    path = Path(cfg.paths.results) / f"{name}.csv"
    write_text(path, _csv(frame))
    return path


def read_study(cfg: DictConfig, name: str) -> tuple[pd.DataFrame, Path]:
    """Return the table of all strategies, and its file: that of the results, else that of the reference results.

    A suite may have none; the table is then empty.
    """
    paths = [Path(folder) / f"{name}.csv" for folder in (cfg.paths.results, cfg.paths.expected)]
    for path in paths:
        if path.exists():
            return pd.read_csv(path), path
    return pd.DataFrame(), paths[0]


def as_text(frame: pd.DataFrame) -> str:
    """Return a table for the terminal."""
    return frame.to_string(index=False, float_format="{:.3f}".format, na_rep="")


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, float_format="%.10g", lineterminator="\n")


def made_by(cfg: DictConfig) -> str:
    """Return a short name of the settings and inputs of a strategy's table, whichever the strategy."""
    settings, checksums = inputs.settings_and_inputs(cfg)
    rule = OmegaConf.to_yaml(cfg.operating_point, resolve=True)
    return inputs.configuration_hash("\n".join([settings, rule, *checksums]))
