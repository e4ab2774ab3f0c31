"""Measure how much of the oracle's quality is luck, by choosing each task's model on some answers and scoring others.

    python -m experiments.oracle suite=medium

Reads the answers that were sampled for a suite: several to each task with a free answer. Of a model that was not
sampled, the one recorded answer is used both to choose and to score, so that its luck is not removed. Prints and writes
oracle.csv.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.setup import inputs
from experiments.setup.config import entry
from slm_orchestration.artifacts import write_text
from slm_orchestration.outcomes.side_tables import read_side_table
from slm_orchestration.statistics.resampling import design
from slm_orchestration.studies.oracle import drawn_quality, oracle_table


def main(cfg: DictConfig) -> None:
    """Print the table of the configured suite."""
    outcomes, folder = inputs.load_outcomes(cfg), Path(cfg.paths.outcomes)
    sampled = [model for model in outcomes.models if (folder / "samples" / f"{model}.parquet").exists()]
    if not sampled:
        raise ValueError(f"suite {cfg.suite.name} has no sampled answers; suite=medium has, or collect samples first")
    tables = {model: read_side_table(folder, "samples", model) for model in sampled}
    greedy = pd.DataFrame(outcomes.quality, index=outcomes.tasks["task_id"], columns=list(outcomes.models))
    quality = drawn_quality(greedy, tables)
    tasks = outcomes.tasks.set_index("task_id").loc[list(quality.task_ids)].reset_index()
    table = oracle_table(quality, design(tasks), level=cfg.statistics.level)
    path = Path(cfg.paths.results) / "oracle.csv"
    write_text(path, table.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    print(f"suite {cfg.suite.name}; answers drawn of {', '.join(sampled)}, of the others the greedy one")
    print(table.to_string(index=False, float_format="{:.3f}".format))
    print(f"table: {path}")


if __name__ == "__main__":
    entry(main, "experiments.oracle")
