"""Evaluate a strategy on all tasks: fitted on some groups, reported on others, until each task was reported once.

    python -m experiments.cross_fit -m 'routing=adaptive,forest,kinds,boosting,logistic'     ends with a table
    python -m experiments.cross_fit routing=adaptive by=dataset         each fold holds datasets that were never seen
    python -m experiments.cross_fit routing=adaptive fit_tasks=300      with fewer fit tasks (a learning curve's point)
    python -m experiments.cross_fit routing=adaptive answers=calibrated

One frozen split hides how much a result depends on it. Here groups (or whole datasets or domains) are dealt into
`folds` folds; for each, the strategy is fitted, answers are calibrated and the threshold is chosen on other tasks (30
and 20 % of all), and reported on the fold. That is repeated `repetitions` times with other folds. Intervals are
corrected for overlapping fits (Nadeau and Bengio). cost_share_95 and cost_share_100 are the share of the most
expensive model's cost at which 95 % and 100 % of its quality are reached. Writes cross_fit.csv and
cross_fit_curves.csv beside the strategy's run, and cross_fit.parquet with every strategy that was evaluated this way
into the folder of results. With `by` or `fit_tasks`, their values are part of these names.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from experiments.setup import inputs, overheads
from experiments.setup.build import build
from experiments.setup.config import entry, in_a_sweep
from experiments.setup.side_tables import with_side_tables
from experiments.setup.studies import MADE_BY, made_by, read_parts
from slm_orchestration import tables
from slm_orchestration.artifacts import write_text
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix
from slm_orchestration.studies.refits import METRICS, fold_estimates, fold_splits, refit

_WHICH = ["strategy", "by", "fit_tasks", "repeat", "fold"]
_CURVE = [*_WHICH, "threshold", "quality", "cost_share", "quality_of_last", "tasks"]
_SHOWN = [
    "mean_gain",
    "gain_over_mixture",
    "retention",
    "cost_saving",
    "small_share",
    "cost_share_95",
    "cost_share_100",
]


def main(cfg: DictConfig) -> None:
    """Write what each fold gave, and print its mean and interval."""
    configured = build(cfg.routing.strategy)
    rule, found = build(cfg.operating_point), []
    try:
        for repeat, fold, split in _splits(cfg):
            outcomes = with_side_tables(cfg, configured, split)
            pair = refit(outcomes, configured, rule, list(cfg.thresholds), partial(overheads.overhead_of, cfg))
            where = {"by": cfg.by, "fit_tasks": len(outcomes.where("fit")), "repeat": repeat, "fold": fold}
            found.append([frame.assign(**where) for frame in pair])
    except NotRecorded as error:
        if not in_a_sweep():
            raise
        print(f"{cfg.routing.name}: skipped, {error}")
        return
    points, curves = (pd.concat(frames, ignore_index=True) for frames in zip(*found, strict=True))
    folder = Path(cfg.paths.results) / cfg.routing.name
    name = _name(cfg)
    for path, frame, columns in (
        (folder / f"{name}.csv", points, [*_WHICH, *METRICS]),
        (folder / f"{name}_curves.csv", curves, _CURVE),
    ):
        marked = frame[columns].assign(**{MADE_BY: made_by(cfg)})
        write_text(path, marked.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    print(_text(fold_estimates(points, curves, folds=cfg.folds, level=cfg.statistics.level)).to_string(index=False))
    print(f"tables: {folder / name}.csv, {write_estimates(cfg)}")


def write_estimates(cfg: DictConfig) -> Path:
    """Write the estimates over folds of every strategy that was evaluated this way, and return their path."""
    results, name = Path(cfg.paths.results), _name(cfg)
    points, curves = (read_parts(cfg, f"{name}{kind}") for kind in ("", "_curves"))
    estimates = fold_estimates(points, curves, folds=cfg.folds, level=cfg.statistics.level)
    metadata = {key: str(cfg[key]) for key in ("folds", "repetitions", "by", "seed")}
    metadata["fitted"] = f"{points['fit_tasks'].median():.0f}"
    tables.write(estimates, tables.ESTIMATES, results / f"{name}.parquet", metadata=metadata)
    return results / f"{name}.parquet"


def show_table(cfg: DictConfig) -> None:
    """Print the table of every strategy that was evaluated this way, if there is any."""
    if not any(Path(cfg.paths.results).glob(f"*/{_name(cfg)}.csv")):
        return
    estimates = tables.read(write_estimates(cfg), tables.ESTIMATES)
    print(f"\n{cfg.repetitions} x {cfg.folds} folds by {cfg.by} of suite {cfg.suite.name}")
    print(_text(estimates).to_string(index=False))


def _text(estimates: pd.DataFrame) -> pd.DataFrame:
    """Return one row of text per strategy, the largest mean gain first: each metric with its interval."""

    def cell(row: pd.Series) -> str:
        ends = "" if pd.isna(row["low"]) else f" [{row['low']:.3f}, {row['high']:.3f}]"
        return "" if pd.isna(row["estimate"]) else f"{row['estimate']:.3f}{ends}"

    estimates = estimates.assign(text=estimates.apply(cell, axis=1))
    wide = estimates.pivot(index="strategy", columns="metric", values="text")[_SHOWN]
    gains = estimates[estimates["metric"] == "mean_gain"].set_index("strategy")["estimate"]
    order = gains.sort_values(ascending=False, na_position="last", kind="stable").index
    return wide.loc[order].reset_index().rename_axis(columns=None)


def _name(cfg: DictConfig) -> str:
    by = "" if cfg.by == "group" else f"_by_{cfg.by}"
    return f"cross_fit{by}" + ("" if cfg.fit_tasks is None else f"_{cfg.fit_tasks}")


def _splits(cfg: DictConfig) -> list[tuple[int, int, OutcomeMatrix]]:
    """Return repeat, fold and outcomes of each split; made once in a sweep, as they do not depend on the strategy."""
    others = [str(key) for key in cfg if key not in ("routing", "operating_point", "tracking")]
    return _made(OmegaConf.to_yaml(OmegaConf.masked_copy(cfg, others), resolve=True))


@lru_cache(maxsize=1)
def _made(asked: str) -> list[tuple[int, int, OutcomeMatrix]]:
    cfg = OmegaConf.create(asked)
    assert isinstance(cfg, DictConfig)
    outcomes, found = inputs.recorded_outcomes(cfg), []
    for repeat in range(cfg.repetitions):
        rng = np.random.default_rng([cfg.seed, repeat])
        splits = fold_splits(outcomes, cfg.folds, rng, by=cfg.by, fit_tasks=cfg.fit_tasks)
        found += [(repeat, fold, inputs.answered(cfg, split)) for fold, split in enumerate(splits)]
    return found


if __name__ == "__main__":
    entry(main, "experiments.cross_fit", config="cross_fit", after_sweep=show_table)
