"""A suite by hand, and outcomes drawn once from a seed: enough to run every stage in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from experiments.setup.config import load_config
from slm_orchestration import tables
from slm_orchestration.outcomes.store import table_metadata, write_outcomes
from slm_orchestration.tasks.task import Task, to_table

MODELS = {"smollm2-135m": (0.35, 1.0), "qwen2.5-coder-0.5b": (0.5, 3.0), "qwen2.5-coder-1.5b": (0.7, 10.0)}
_SPLITS = ["fit"] * 3 + ["calibration"] * 2 + ["evaluation"] * 5


def configured(folder: Path, *overrides: str, config: str = "config") -> DictConfig:
    """Return a configuration whose every path lies in `folder`."""
    paths = ["tasks", "outcomes", "results", "figures", "overhead"]
    return load_config(
        *(f"paths.{name}={folder / name}{'.parquet' if name == 'tasks' else ''}" for name in paths[:4]),
        f"paths.overhead={folder / 'overhead.csv'}",
        f"paths.paper={folder / 'paper'}",
        f"paths.page={folder / 'report' / 'index.html'}",
        f"paths.expected={folder / 'expected'}",
        "tracking=off",
        "statistics=quick",
        *overrides,
        config=config,
    )


def composed(folder: Path, config: str, *overrides: str) -> DictConfig:
    """Return a command's own configuration with its paths in `folder`, where the suite is written."""
    paths = [f"paths.tasks={folder / 'tasks.parquet'}", f"paths.outcomes={folder / 'outcomes'}"]
    paths += [f"paths.results={folder / 'results'}", f"paths.figures={folder}"]
    cfg = load_config(*paths, "tracking=off", *overrides, config=config)
    write_suite(cfg)
    return cfg


def write_suite(cfg: DictConfig, *, tasks: int = 120) -> None:
    """Write TASKS and OUTCOMES: harder questions are longer, and better models are right more often."""
    rng = np.random.default_rng(0)
    hard = rng.random(tasks) < 0.5
    rows = [make_task(number, bool(hard[number])) for number in range(tasks)]
    tables.write(to_table(rows), tables.TASKS, Path(cfg.paths.tasks), metadata={})
    for model, (skill, price) in MODELS.items():
        right = rng.random(tasks) < np.where(hard, skill * 0.6, min(skill * 1.3, 0.95))
        frame = pd.DataFrame([make_outcome(task, model, bool(ok), price) for task, ok in zip(rows, right, strict=True)])
        about = table_metadata({"weights_sha256": "by hand", "dtype": "none"}, ["0"] * tasks)
        write_outcomes(frame, Path(cfg.paths.outcomes), model, metadata=about)


def make_task(number: int, hard: bool) -> Task:
    domain = ("logic", "mathematics")[number % 2]
    question = f"Is {number} even?" + (" Prove each step, if not then explain why all of them hold." if hard else "")
    return Task(
        task_id=f"{domain}/by_hand/{number:04d}",
        domain=domain,
        dataset="by_hand",
        group=f"by_hand/{number}",
        split=_SPLITS[number % 10],
        question=question,
        messages=[{"role": "user", "content": question}],
        choices=["A", "B"],
        reference="A" if number % 4 else "B",
        scorer="choice",
        max_tokens=4,
    )


def make_outcome(task: Task, model: str, right: bool, price: float) -> dict:
    answer = task.reference if right else {"A": "B", "B": "A"}[task.reference]
    sure = 0.8 if right else 0.6
    signals = {"label:A": sure if answer == "A" else 1 - sure, "label:B": sure if answer == "B" else 1 - sure}
    return {
        **{name: getattr(task, name) for name in ("task_id", "domain", "dataset", "group", "split")},
        **{"model": model, "repeat": 0, "answer": answer, "quality": float(right), "confidence": None},
        **{"signals": json.dumps(signals | {"label_mass": 1.0}), "prompt_tokens": 20, "completion_tokens": 1},
        **{"latency_s": price / 10, "latency_source": "measured", "device_s": price / 20, "cost_usd": price * 1e-6},
        **{"finish_reason": "choice", "error": None},
    }
