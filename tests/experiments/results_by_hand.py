"""A results folder by hand: one run that holds every strategy, read from a suite by hand, and what was analyzed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import yaml
from omegaconf import DictConfig, open_dict

from experiments.run import TABLES
from experiments.setup.inputs import configuration_hash
from experiments.setup.manifest import ANALYSIS, RUN, write_manifest
from experiments.setup.results import configuration_of
from slm_orchestration import artifacts, tables
from slm_orchestration.outcomes.store import table_metadata, write_outcomes
from slm_orchestration.tasks.task import to_table
from tests.experiments.by_hand import make_outcome, make_task
from tests.figures import tables_by_hand as by_hand

MODELS = ("small", "large")
# What would run in a browser that took text for markup.
HOSTILE = "</script><script>window.hostile = 1</script><img src=x onerror='window.hostile = 1'> %%script%%"


def write_results(cfg: DictConfig) -> None:
    """Write ten tasks, the answers of two models, the run `all` that read them, and what was analyzed."""
    results = Path(cfg.paths.results)
    _write_suite(cfg)
    read = [Path(cfg.paths.tasks), *(Path(cfg.paths.outcomes) / f"{model}.parquet" for model in MODELS)]
    asked = yaml.safe_dump({"routing": "by hand", "inputs": {str(path): artifacts.sha256(path) for path in read}})
    made = {
        "decisions": by_hand.decisions(),
        "curves": by_hand.curves(),
        "operating_points": by_hand.operating_points(),
    }
    for name, frame in made.items():
        about = {"configuration": configuration_hash(asked)}
        frame = getattr(by_hand, name)()
        tables.write(frame, TABLES[name], results / f"all/{name}.parquet", metadata=about)
    artifacts.write_text(results / "hull.json", json.dumps(by_hand.HULL))
    write_manifest(results / "all" / RUN, [*(f"{name}.parquet" for name in made), "../hull.json"])
    artifacts.write_text(results / "all/config.yaml", asked)
    analyzed = {"configuration": configuration_of(results)}
    tables.write(by_hand.estimates(), tables.ESTIMATES, results / "estimates.parquet", metadata=analyzed)
    tables.write(by_hand.comparisons(), tables.COMPARISONS, results / "comparisons.parquet", metadata=analyzed)
    tables.write(by_hand.robustness(), tables.ROBUSTNESS, results / "robustness.parquet", metadata=analyzed)
    tables.write(by_hand.measured(), tables.ESTIMATES, results / "measured.parquet", metadata=analyzed)
    write_manifest(results / ANALYSIS, [f"{name}.parquet" for name in ("estimates", "comparisons", "measured")])


def _write_suite(cfg: DictConfig) -> None:
    """The first task of every five is beyond both models, the next beyond the small one."""
    with open_dict(cfg):
        cfg.pool.models = [{"name": model} for model in MODELS]
    tasks = [
        replace(make_task(n, False), task_id=f"task/{n}", domain=("code", "logic")[n // 5], split="evaluation")
        for n in range(10)
    ]
    tasks = [
        replace(
            task, question=f"{task.question} {HOSTILE}", messages=[*task.messages, {"role": "user", "content": HOSTILE}]
        )
        for task in tasks
    ]
    tables.write(to_table(tasks), tables.TASKS, Path(cfg.paths.tasks), metadata={})
    for place, model in enumerate(MODELS):
        rows = [make_outcome(task, model, n % 5 > 1 - place, 1.0 + place) for n, task in enumerate(tasks)]
        rows[0]["answer"] = HOSTILE
        about = table_metadata({"weights_sha256": f"{model}, by hand", "dtype": "none"}, ["0"] * len(tasks))
        write_outcomes(pd.DataFrame(rows), Path(cfg.paths.outcomes), model, metadata=about)
