"""A pool of scripted models with outcomes by hand: enough to run the orchestrator in milliseconds."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.outcomes.latency import COLUMNS, write_profile
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator
from slm_orchestration.serving.pool import Pool
from slm_orchestration.tasks.task import Task
from tests.experiments.by_hand import MODELS, write_suite

NAMES = tuple(MODELS)
SMALL, MIDDLE, LARGE = NAMES
# Seconds of a call alone, whatever its tokens; a full batch takes a tenth of them.
SECONDS = {SMALL: 0.1, MIDDLE: 0.4, LARGE: 2.0}


def write_records(folder: Path) -> None:
    """Write tasks, outcomes and the latency profile of the scripted pool."""
    paths = {"tasks": str(folder / "tasks.parquet"), "outcomes": str(folder / "outcomes")}
    write_suite(OmegaConf.create({"paths": paths}))
    rest = dict.fromkeys(COLUMNS, 0) | {"device": "cpu", "threads": 2, "processor": "none", "dtype": "none"}
    rows = [
        rest | {"model": name, "concurrency": concurrency, "fixed_s": SECONDS[name] * share}
        for name in NAMES
        for concurrency, share in (("one", 1.0), ("saturated", 0.1))
    ]
    write_profile(pd.DataFrame(rows), folder / "profiles" / "this_machine.csv")


def scripted(**options: Any) -> dict[str, ScriptedModel]:
    """Return the three models; each says its own name, and `options` go to all of them."""
    return {name: ScriptedModel(name, default=f"answer of {name}", **options) for name in NAMES}


def orchestrator(folder: Path, models: dict[str, Any], config: dict | None = None, call: Any = None) -> Any:
    """Return an orchestrator of `models` on the records in `folder`."""
    pool = Pool(tuple(models.values()), frozenset(NAMES[:2]))
    where = SimpleNamespace(outcomes=folder / "outcomes", tasks=folder / "tasks.parquet")
    return AdaptiveOrchestrator(config, pool=pool, outcomes=where.outcomes, tasks=where.tasks, call=call)


def slow(model: Any, tasks: Any, *, seed: int) -> Any:
    """Call a model so slowly that a hit saves enough for its answer to be kept."""
    time.sleep(0.01)
    return model.complete(tasks, seed=seed)


def task(name: str, choices: list[str] | None = None) -> Task:
    """Return a task whose question is its name."""
    messages = [{"role": "user", "content": name}]
    return Task(name, "logic", "by_hand", name, "evaluation", name, messages, choices, "", "exact", 16)
