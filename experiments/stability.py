"""Measure how much answers depend on the rest of their batch: its size, order and padding, and the number of threads.

    python -m experiments.stability n=50 model=smollm2-135m

The same tasks are answered alone in one thread (inference.deterministic=true), where no other task can change them,
and under other settings; each run is compared with the first. Prints the share of equal answers and qualities, and the
seconds of each run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pandas as pd
from omegaconf import DictConfig

from experiments.setup.build import build
from experiments.setup.config import entry
from experiments.setup.inputs import chosen_models, load_tasks, random_sample, require_sandbox
from slm_orchestration.models.model import BatchStreaming, Completion
from slm_orchestration.outcomes.audit import agreement
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task


@dataclass(frozen=True)
class Setting:
    """How the same tasks are answered in one run."""

    name: str
    deterministic: bool
    token_budget: int | None
    backwards: bool = False


def main(cfg: DictConfig) -> None:
    """Print a line per model and setting: its agreement with the first setting, and its seconds."""
    tasks = random_sample(load_tasks(cfg), n=cfg.n, seed=cfg.seed)
    require_sandbox(tasks)
    full = cfg.inference.token_budget
    batches = "full batches" if full is None else f"batches of {full} tokens"
    settings = [
        Setting("deterministic", True, full),
        Setting("deterministic, backwards", True, full, backwards=True),
        Setting(batches, False, full),
        Setting(f"{batches}, backwards", False, full, backwards=True),
        Setting("batches of 1000 tokens", False, 1000),
    ]
    for node in chosen_models(cfg):
        reference: pd.DataFrame | None = None
        for setting in settings:
            model = build(node, deterministic=setting.deterministic)
            model.complete(tasks[:1], seed=cfg.seed)  # loads
            started = time.perf_counter()
            answered = _answered(model, tasks, setting, cfg.seed)
            seconds = time.perf_counter() - started
            reference = answered if reference is None else reference
            threads = 1 if setting.deterministic else model.hardware()["threads"]
            print(f"{node.name}, {setting.name}, {threads} threads, {seconds:.0f} s: {agreement(reference, answered)}")


def _answered(model: BatchStreaming, tasks: list[Task], setting: Setting, seed: int) -> pd.DataFrame:
    order = tasks[::-1] if setting.backwards else tasks
    answers: dict[str, str] = {}
    for finished in model.stream(order, batch_tokens=setting.token_budget, seed=seed):
        answers |= {order[place].task_id: one.answer for place, one in finished if isinstance(one, Completion)}
    rows = [(task.task_id, answers[task.task_id], score(task, answers[task.task_id])) for task in tasks]
    return pd.DataFrame(rows, columns=["task_id", "answer", "quality"])


if __name__ == "__main__":
    entry(main, "experiments.stability")
