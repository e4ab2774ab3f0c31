"""How far answers depend on what they are computed beside: batch size, order, padding and threads.

python -m experiments.stability n=50 model=smollm2-135m

The same tasks are answered alone in one thread (inference.deterministic=true), which nothing else can change, and in
other ways; each is compared with that. Prints the share of equal answers and qualities, and the seconds that each took.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments.setup.config import entry
from experiments.setup.inputs import chosen_models, load_tasks, random_sample, require_sandbox
from slm_orchestration.models.model import BatchStreaming, Completion
from slm_orchestration.outcomes.audit import agreement
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task


@dataclass(frozen=True)
class Way:
    """One way to answer the same tasks."""

    name: str
    deterministic: bool
    token_budget: int
    backwards: bool = False


def main(cfg: DictConfig) -> None:
    tasks = random_sample(load_tasks(cfg), n=cfg.n, seed=cfg.seed)
    require_sandbox(tasks)
    full = cfg.inference.token_budget
    ways = [
        Way("deterministic", True, full),
        Way("deterministic, backwards", True, full, backwards=True),
        Way(f"batches of {full} tokens", False, full),
        Way(f"batches of {full} tokens, backwards", False, full, backwards=True),
        Way("batches of 1000 tokens", False, 1000),
    ]
    for node in chosen_models(cfg):
        reference: pd.DataFrame | None = None
        for way in ways:
            model = instantiate(node, deterministic=way.deterministic)
            model.complete(tasks[:1], seed=cfg.seed)  # loads
            started = time.perf_counter()
            answered = _answered(model, tasks, way, cfg.seed)
            seconds = time.perf_counter() - started
            reference = answered if reference is None else reference
            threads = 1 if way.deterministic else model.hardware()["threads"]
            print(f"{node.name}, {way.name}, {threads} threads, {seconds:.0f} s: {agreement(reference, answered)}")


def _answered(model: BatchStreaming, tasks: list[Task], way: Way, seed: int) -> pd.DataFrame:
    order = tasks[::-1] if way.backwards else tasks
    answers: dict[str, str] = {}
    for finished in model.stream(order, batch_tokens=way.token_budget, seed=seed):
        answers |= {order[place].task_id: one.answer for place, one in finished if isinstance(one, Completion)}
    rows = [(task.task_id, answers[task.task_id], score(task, answers[task.task_id])) for task in tasks]
    return pd.DataFrame(rows, columns=["task_id", "answer", "quality"])


if __name__ == "__main__":
    entry(main, "experiments.stability")
