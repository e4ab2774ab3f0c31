"""Show what a router has learned: the kinds of requests that it tells apart, and how well it predicts right answers.

    python -m experiments.explain routing=adaptive
    python -m experiments.explain routing=kinds operating_point=best_quality

Fits the strategy as `experiments.run` does, and prints

- for adaptive, the weights of its predictors, and which answers' confidences it uses;
- each kind of request with five typical words, its fit tasks, the quality of every model and the model that serves it;
- which part of the gain over the mixture comes from telling datasets apart, and which from telling tasks of one dataset
  apart;
- how well right answers are told from wrong ones within datasets (AUROC), before any call and after each model's call;
- for each dataset of choice tasks, the quality of the models, of the router, and of a text classifier that calls no
  language model, and whether the classifier alone suffices;
- for choice tasks, the quality of the models as it is, and with all labels of a dataset equally frequent. With
  answers=calibrated, the latter shows what the correction gains beyond answering with the most frequent label.

Writes kinds.csv, between_within.csv, signals.csv, datasets.csv and balance.csv beside the strategy's run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from experiments.setup import inputs, overheads
from experiments.setup.build import build
from experiments.setup.config import entry
from experiments.setup.side_tables import with_side_tables
from slm_orchestration.artifacts import write_text
from slm_orchestration.routing import replay
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix
from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.serving.pool import load_strategy
from slm_orchestration.statistics.strategy_matrix import CLASSIFIER
from slm_orchestration.studies.explain import in_words, kinds_of, kinds_table
from slm_orchestration.studies.run_summary import gain_over, mixture_points
from slm_orchestration.studies.within import balance_table, datasets_table, shuffled_within, signals_table

_SHOWN = 40


def main(cfg: DictConfig) -> None:
    """Print and write what the configured strategy has learned."""
    configured = build(cfg.routing.strategy)
    if not isinstance(configured, RoutedStrategy):
        raise ValueError(f"routing={cfg.routing.name}: a reference has learned nothing to explain")
    outcomes = with_side_tables(cfg, configured, inputs.load_outcomes(cfg))
    fit, calibration, evaluation = (outcomes.where(split) for split in ("fit", "calibration", "evaluation"))
    strategy = configured.fit(fit, calibration)
    overhead = overheads.overhead_of(cfg, strategy, calibration)
    rule = build(cfg.operating_point)
    thresholds = np.unique([*cfg.thresholds, *rule.extra_thresholds()])
    (choices,) = strategy.choose(calibration, thresholds).values()
    chosen = rule.choose(replay.replay(strategy.name, choices, calibration, overhead=overhead), calibration)
    if chosen.most_expensive_always:
        raise ValueError(f"there is no threshold to explain ({chosen.reason}); name another operating_point")
    threshold = thresholds[[chosen.position]]
    print("\n".join([*in_words(strategy.router), f"threshold {threshold[0]:g}: {chosen.reason}"]))
    tables = {}
    if kinds_of(strategy.router) is not None:
        tables["kinds"] = kinds_table(strategy, fit, float(threshold[0]))
    (choices,) = strategy.choose(evaluation, threshold).values()
    served = replay.replay(strategy.name, choices, evaluation, overhead=overhead)
    tables["between_within"] = _between_within(served, calibration, evaluation)
    tables["signals"] = signals_table(strategy.predict(evaluation)(strategy.rule.start), evaluation)
    try:
        classifier = load_strategy(CLASSIFIER, seed=int(cfg.seed)).fit(fit, calibration)
        answers = classifier.answers(evaluation)["answer"]
        tables["datasets"] = datasets_table(served.quality[0], answers, evaluation)
    except NotRecorded as reason:
        print(f"no classifier: {reason}")
    tables["balance"] = balance_table(evaluation)
    folder = Path(cfg.paths.results) / cfg.routing.name
    for name, table in tables.items():
        if table.empty:
            continue
        path = folder / f"{name}.csv"
        write_text(path, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
        print(f"\n{path}" + (f", the {_SHOWN} largest of {len(table)}" if len(table) > _SHOWN else ""))
        print(table.head(_SHOWN).to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep=""))


def _between_within(served: replay.Replayed, calibration: OutcomeMatrix, evaluation: OutcomeMatrix) -> pd.DataFrame:
    quality, cost = float(served.quality[0].mean()), float(served.cost_usd[0].mean())
    router = cost - float((served.choices.called[0] * evaluation.cost_usd).sum(axis=1).mean())
    shuffled, paid = shuffled_within(served.choices.called[0], served.choices.served[0], evaluation)
    vertices = mixture_points(calibration, evaluation)
    total, between = (float(gain_over(vertices, *at)) for at in ((cost, quality), (paid + router, shuffled)))
    return pd.DataFrame(
        [("total", total), ("between datasets", between), ("within datasets", total - between)],
        columns=["gain", "value"],
    )


if __name__ == "__main__":
    entry(main, "experiments.explain")
