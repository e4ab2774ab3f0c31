"""Certify, for each strategy, a threshold that keeps a share of the most expensive model's quality.

    python -m experiments.certified routing=adaptive
    python -m experiments.certified -m 'routing=glob(*)'        all strategies with thresholds; ends with a table

A threshold is chosen by Learn-then-Test on calibration tasks, for each share in `retentions`. With probability
1 - `delta` it keeps that share. The guarantee holds for each strategy by itself, not for all of them together. What the
threshold keeps and saves is measured on evaluation tasks. Where no threshold is certified, the most expensive model is
called on every task. Writes certified.csv beside the strategy's run, and after a sweep one table of all strategies into
the folder of results, which the paper prints.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from experiments.setup import imported, inputs
from experiments.setup.build import build
from experiments.setup.config import entry
from experiments.setup.side_tables import with_side_tables
from slm_orchestration.artifacts import write_text
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.studies.guarantee import certified_points

_TABLE = "certified.csv"


def main(cfg: DictConfig) -> None:
    """Print and write a row for each share of `retentions`."""
    if reason := imported.reason_to_skip(cfg):
        print(f"{cfg.routing.name}: skipped, as {reason}")
        return
    configured = build(cfg.routing.strategy)
    try:
        outcomes = with_side_tables(cfg, configured, inputs.load_outcomes(cfg))
        find = partial(certified_points, outcomes, configured, np.array(list(cfg.thresholds)))
        rows = [row for share in cfg.retentions for row in find(target=share, delta=cfg.delta, seed=cfg.seed)]
    except NotRecorded as error:
        print(f"{cfg.routing.name}: skipped, {error}")
        return
    frame = pd.DataFrame(rows)
    if frame.empty:
        print(f"{cfg.routing.name}: it has no thresholds")
        return
    path = Path(cfg.paths.results) / cfg.routing.name / _TABLE
    write_text(path, frame.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    print(_text(frame))
    print(f"table: {path}")


def show_table(cfg: DictConfig) -> None:
    """Write the rows of every strategy into one table, and print it by share, the largest cost saving first."""
    results = Path(cfg.paths.results)
    paths = sorted(results.glob(f"*/{_TABLE}"))
    if paths:
        frame = pd.concat([pd.read_csv(path) for path in paths])
        largest = frame.groupby("strategy")["cost_saving"].transform("max")
        frame = frame.assign(largest=largest).sort_values(
            ["largest", "strategy", "target"], ascending=[False, True, True]
        )
        frame = frame.drop(columns="largest")
        write_text(results / _TABLE, frame.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
        print(f"\ncertified with probability {1 - cfg.delta:g} on suite {cfg.suite.name}")
        print(_text(frame.sort_values(["target", "cost_saving"], ascending=[True, False])))
        print(f"table: {results / _TABLE}")


def _text(frame: pd.DataFrame) -> str:
    shown = frame.assign(threshold=frame["threshold"].map(lambda t: "always-L" if pd.isna(t) else f"{t:g}"))
    return shown.to_string(index=False, float_format="{:.3f}".format)


if __name__ == "__main__":
    entry(main, "experiments.certified", config="certified", after_sweep=show_table)
