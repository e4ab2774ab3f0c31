"""A results folder by hand: one run that holds every strategy, read from a suite by hand, and what was analyzed."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from omegaconf import DictConfig

from experiments.inputs import configuration_hash
from experiments.results import configuration_of
from experiments.run import TABLES
from slm_orchestration import files, tables
from tests.experiments.by_hand import MODELS, write_suite
from tests.figures import tables_by_hand as by_hand


def write_results(cfg: DictConfig) -> None:
    """Write the run `all` and its estimates; its ten tasks are not those of the suite, whose files it names as read."""
    write_suite(cfg)
    results = Path(cfg.paths.results)
    read = [Path(cfg.paths.tasks), *(Path(cfg.paths.outcomes) / f"{model}.parquet" for model in MODELS)]
    asked = yaml.safe_dump({"routing": "by hand", "inputs": {str(path): files.sha256(path) for path in read}})
    made = {
        "decisions": by_hand.decisions(),
        "curves": by_hand.curves(),
        "operating_points": by_hand.operating_points(),
    }
    for name, frame in made.items():
        about = {"configuration": configuration_hash(asked)}
        frame = getattr(by_hand, name)()
        tables.write(frame, TABLES[name], results / f"all/{name}.parquet", metadata=about)
    files.write_text(results / "all/config.yaml", asked)
    analyzed = {"configuration": configuration_of(results)}
    tables.write(by_hand.estimates(), tables.ESTIMATES, results / "estimates.parquet", metadata=analyzed)
    tables.write(by_hand.comparisons(), tables.COMPARISONS, results / "comparisons.parquet", metadata=analyzed)
    files.write_text(results / "hull.json", json.dumps(by_hand.HULL))
