"""What has a router learned? The kinds of requests that it tells apart, and what each model achieves on them.

    python -m experiments.explain routing=kinds
    python -m experiments.explain routing=adaptive operating_point=best_quality

Fits the strategy as `experiments.run` does, and prints each kind with its five typical words, its fit tasks, the
quality of every model and the model that serves it at the operating point; for adaptive also its weights and stages in
words. Writes kinds.csv beside the strategy's run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from experiments.setup import inputs
from experiments.setup.build import build
from experiments.setup.config import entry
from slm_orchestration.artifacts import write_text
from slm_orchestration.routing import replay
from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.studies.explain import in_words, kinds_table

_SHOWN = 40


def main(cfg: DictConfig) -> None:
    """Print and write the kinds of the configured strategy."""
    configured = build(cfg.routing.strategy)
    if not isinstance(configured, RoutedStrategy):
        raise ValueError(f"routing={cfg.routing.name}: a reference has learned nothing to explain")
    outcomes = inputs.load_outcomes(cfg)
    fit, calibration = outcomes.where("fit"), outcomes.where("calibration")
    strategy = configured.fit(fit, calibration)
    rule, thresholds = build(cfg.operating_point), np.array(cfg.thresholds)
    (choices,) = strategy.choose(calibration, thresholds).values()
    replayed = replay.replay(strategy.name, choices, calibration, overhead=replay.Overhead())
    chosen = rule.choose(replayed, calibration)
    table = kinds_table(strategy, fit, float(thresholds[chosen.position]))
    print("\n".join(in_words(strategy.router)))
    print(f"threshold {thresholds[chosen.position]:g}: {chosen.reason}; quality of each kind is shrunk to the means")
    print(table.head(_SHOWN).to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    path = Path(cfg.paths.results) / cfg.routing.name / "kinds.csv"
    write_text(path, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    print(f"{len(table)} kinds, the {min(_SHOWN, len(table))} largest shown: {path}")


if __name__ == "__main__":
    entry(main, "experiments.explain")
