"""How good are each router's predictions, and do better predictions bring a larger gain?

    python -m experiments.predictions routing=boosting
    python -m experiments.predictions -m 'routing=glob(*)'      all routers; ends with a table and a figure

Fits the strategy as `experiments.run` does and prints, for each model, how well its quality is predicted before any
call on evaluation tasks: Brier score, calibration error, AUROC over all tasks and within datasets, and how well its
advantage over the next cheaper model is. After all routers: the rank correlation of each measure with the mean gain.

Writes predictions.csv beside the strategy's run, and predictions.csv and figures/prediction_quality after the last.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.setup import overheads
from experiments.setup.config import entry
from experiments.setup.studies import as_text, read_parts, write_part, write_study
from slm_orchestration.figures import style
from slm_orchestration.figures.prediction_quality import prediction_quality
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix
from slm_orchestration.routing.strategy import FittedRoutedStrategy, Strategy
from slm_orchestration.studies.curve_metrics import mean_gain_of
from slm_orchestration.studies.predictions import MEASURES, against_gain, prediction_table

_STUDY = "predictions"


def main(cfg: DictConfig) -> None:
    """Print and write the quality of one strategy's predictions."""
    write_part(cfg, _STUDY, partial(_judged, cfg))


def show_table(cfg: DictConfig) -> None:
    """Print the means over models of every strategy and how they go with the gain, and draw them."""
    parts = read_parts(cfg, _STUDY)
    if parts.empty:
        return
    means = parts.groupby("strategy")[[*MEASURES, "mean_gain"]].mean().reset_index()
    means = means.sort_values("mean_gain", ascending=False, ignore_index=True)
    correlations = against_gain(means)
    path = write_study(cfg, _STUDY, means)
    print(f"\nmeans over the models of suite {cfg.suite.name}\n{as_text(means)}")
    print(f"\nrank correlation with mean_gain\n{as_text(correlations)}")
    drawn = style.save(prediction_quality(means, correlations), Path(cfg.paths.figures) / "prediction_quality")
    print(f"table: {path}, figure: {', '.join(map(str, drawn))}")


def _judged(cfg: DictConfig, configured: Strategy, outcomes: OutcomeMatrix) -> pd.DataFrame:
    fit, calibration, evaluation = (outcomes.where(split) for split in ("fit", "calibration", "evaluation"))
    strategy = configured.fit(fit, calibration)
    if not isinstance(strategy, FittedRoutedStrategy):
        raise NotRecorded("a reference predicts nothing")
    table = prediction_table(strategy.predict(evaluation)(strategy.rule.start), evaluation)
    table.insert(0, "strategy", strategy.name)
    overhead = overheads.overhead_of(cfg, strategy, calibration)
    return table.assign(mean_gain=mean_gain_of(strategy, calibration, evaluation, overhead))


if __name__ == "__main__":
    entry(main, "experiments.predictions", after_sweep=show_table)
