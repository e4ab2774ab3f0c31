"""How much of the oracle's quality is luck: a model chosen on some drawn answers, scored on others.

    python -m experiments.oracle suite=medium

Reads the sampled answers of a suite (free answers; five of each task and model that was sampled). A model without
samples has its one greedy answer, which is not drawn, so that its own luck stays in. Prints and writes oracle.csv.
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
