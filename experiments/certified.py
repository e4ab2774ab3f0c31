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

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from experiments.setup.config import entry
from experiments.setup.studies import as_text, read_parts, write_part, write_study
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix
from slm_orchestration.routing.strategy import Strategy
from slm_orchestration.studies.guarantee import certified_points

_STUDY = "certified"


def main(cfg: DictConfig) -> None:
    """Print and write a row for each share of `retentions`."""
    write_part(cfg, _STUDY, partial(_certified, cfg))


def show_table(cfg: DictConfig) -> None:
    """Write the rows of every strategy into one table, and print it by share, the largest cost saving first."""
    frame = read_parts(cfg, _STUDY)
    if frame.empty:
        return
    largest = frame.groupby("strategy")["cost_saving"].transform("max")
    order = ["largest", "strategy", "target"]
    frame = frame.assign(largest=largest).sort_values(order, ascending=[False, True, True]).drop(columns="largest")
    path = write_study(cfg, _STUDY, frame)
    shown = frame.sort_values(["target", "cost_saving"], ascending=[True, False])
    print(f"\ncertified with probability {1 - cfg.delta:g} on suite {cfg.suite.name}; without a threshold: always-L")
    print(f"{as_text(shown)}\ntable: {path}")


def _certified(cfg: DictConfig, strategy: Strategy, outcomes: OutcomeMatrix) -> pd.DataFrame:
    find = partial(certified_points, outcomes, strategy, np.array(list(cfg.thresholds)))
    rows = [row for share in cfg.retentions for row in find(target=share, delta=cfg.delta, seed=cfg.seed)]
    if not rows:
        raise NotRecorded("it has no thresholds")
    return pd.DataFrame(rows)


if __name__ == "__main__":
    entry(main, "experiments.certified", config="certified", after_sweep=show_table)
