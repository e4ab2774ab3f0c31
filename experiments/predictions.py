"""How good are each router's predictions, and do better predictions bring a larger gain?

    python -m experiments.predictions routing=boosting
    python -m experiments.predictions -m 'routing=glob(*)'      all routers; ends with a table and a figure

Fits the strategy as `experiments.run` does and prints, for each model, how well its quality is predicted before any
call on evaluation tasks: Brier score, calibration error, AUROC over all tasks and within datasets, and how well its
advantage over the next cheaper model is. After all routers: the rank correlation of each measure with the mean gain.

Writes predictions.csv beside the strategy's run, and predictions.csv and figures/prediction_quality after the last.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.setup import imported, inputs, overheads
from experiments.setup.build import build
from experiments.setup.config import entry
from experiments.setup.side_tables import with_side_tables
from slm_orchestration.artifacts import write_text
from slm_orchestration.figures import style
from slm_orchestration.figures.prediction_quality import prediction_quality
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.strategy import FittedRoutedStrategy
from slm_orchestration.studies.curve_metrics import mean_gain_of
from slm_orchestration.studies.predictions import MEASURES, against_gain, prediction_table

_TABLE = "predictions.csv"


def main(cfg: DictConfig) -> None:
    """Print and write the quality of one strategy's predictions."""
    if reason := imported.reason_to_skip(cfg):
        print(f"{cfg.routing.name}: skipped, as {reason}")
        return
    configured = build(cfg.routing.strategy)
    try:
        outcomes = with_side_tables(cfg, configured, inputs.load_outcomes(cfg))
        fit, calibration, evaluation = (outcomes.where(split) for split in ("fit", "calibration", "evaluation"))
        strategy = configured.fit(fit, calibration)
    except NotRecorded as error:
        print(f"{cfg.routing.name}: skipped, {error}")
        return
    if not isinstance(strategy, FittedRoutedStrategy):
        print(f"{cfg.routing.name}: skipped, a reference predicts nothing")
        return
    table = prediction_table(strategy.predict(evaluation)(strategy.rule.start), evaluation)
    overhead = overheads.overhead_of(cfg, strategy, calibration)
    table["mean_gain"] = mean_gain_of(strategy, calibration, evaluation, overhead)
    table.insert(0, "strategy", strategy.name)
    path = Path(cfg.paths.results) / cfg.routing.name / _TABLE
    write_text(path, table.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    print(_text(table))
    print(f"table: {path}")


def show_table(cfg: DictConfig) -> None:
    """Print the means over models of every strategy and how they go with the gain, and draw them."""
    results = Path(cfg.paths.results)
    paths = sorted(results.glob(f"*/{_TABLE}"))
    if not paths:
        return
    tables = pd.concat([pd.read_csv(path) for path in paths])
    means = tables.groupby("strategy")[[*MEASURES, "mean_gain"]].mean().reset_index()
    means = means.sort_values("mean_gain", ascending=False, ignore_index=True)
    correlations = against_gain(means)
    write_text(results / _TABLE, means.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    print(f"\nmeans over the models of suite {cfg.suite.name}")
    print(_text(means))
    print("\nrank correlation with mean_gain")
    print(_text(correlations))
    drawn = style.save(prediction_quality(means, correlations), Path(cfg.paths.figures) / "prediction_quality")
    print(f"table: {results / _TABLE}, figure: {', '.join(map(str, drawn))}")


def _text(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format="{:.3f}".format, na_rep="")


if __name__ == "__main__":
    entry(main, "experiments.predictions", after_sweep=show_table)
