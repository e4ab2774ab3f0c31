"""Run the orchestrator on unseen tasks with the real models, and compare what happens with what replay predicts.

    python -m experiments.live_replay
    python -m experiments.live_replay live.most=100 live.concurrency=[1]

The prediction, an interval for the means of quality, cost and latency over so many tasks, is written first: from the
replayed decisions of the recorded evaluation tasks of the same datasets. Then the models are called. Afterwards the
prompts are routed again in one batch, as replay does: both must start with the same call.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from experiments.setup import inputs
from experiments.setup.build import build
from experiments.setup.config import entry
from slm_orchestration import artifacts, tables
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator
from slm_orchestration.serving.pool import Pool
from slm_orchestration.studies import live_replay
from slm_orchestration.tasks.task import Task, from_table


def main(cfg: DictConfig) -> None:
    """Predict, call the models, compare; print and write all three."""
    folder = Path(cfg.paths.results) / "live_replay"
    pool, tasks = _pool(cfg), _unseen(cfg)
    orchestrator = AdaptiveOrchestrator(
        {"routing_strategy": cfg.routing.name, "seed": cfg.seed},
        pool=pool,
        outcomes=Path(cfg.paths.outcomes),
        tasks=Path(cfg.paths.tasks),
    )
    ready = orchestrator.prepare()
    replayed = live_replay.replay_on(_recorded(cfg), ready, len(pool.models))
    predicted = live_replay.predict(replayed, len(tasks), rng=np.random.default_rng(cfg.seed))
    _write(predicted, folder / "prediction.csv")
    print(f"prediction for {len(tasks)} unseen tasks, {ready.rule} (written before any model was called)")
    print(predicted.to_string(index=False, float_format="%.4g"))
    parts = []
    live_replay.load_models(pool, tasks[0], seed=cfg.seed)
    for concurrency in map(int, cfg.live.concurrency):
        results, seconds = live_replay.process_all(orchestrator, tasks, concurrency)
        parts.append(live_replay.observe(tasks, results, ready).assign(concurrency=concurrency))
        print(f"concurrency {concurrency}: {len(tasks)} tasks in {seconds:.0f} s")
    observed = pd.concat(parts, ignore_index=True)
    _write(observed, folder / "observed.csv")
    compared = live_replay.compare(predicted, observed)
    _write(compared, folder / "compared.csv")
    print(compared.to_string(index=False, float_format="%.4g", na_rep=""))
    orchestrator.close()
    print(f"tables: {folder}")


def _pool(cfg: DictConfig) -> Pool:
    models = [build(model) for model in cfg.pool.models[: cfg.live.models]]
    return Pool(tuple(models), frozenset(cfg.pool.small) & {model.name for model in models})


def _unseen(cfg: DictConfig) -> list[Task]:
    path = Path(cfg.live.tasks)
    if not path.exists():
        raise ValueError(f"{path}: no such tasks; `python -m experiments.prepare suite={path.stem}` makes them")
    recorded = tables.read(Path(cfg.paths.tasks), tables.TASKS)
    fresh = live_replay.unseen(tables.read(path, tables.TASKS), recorded, longest_answer=cfg.live.longest_answer)
    if fresh.empty:
        raise ValueError(
            f"{path}: no task is of a dataset of {cfg.paths.tasks}, not among its tasks, and answered in at most "
            f"live.longest_answer={cfg.live.longest_answer} tokens"
        )
    return from_table(fresh.sample(min(cfg.live.most, len(fresh)), random_state=cfg.seed).sort_values("task_id"))


def _recorded(cfg: DictConfig) -> OutcomeMatrix:
    """Return the recorded outcomes of the evaluation tasks with short answers, like those of the unseen tasks."""
    outcomes = inputs.load_outcomes(cfg).where("evaluation")
    known = {task.task_id: task for task in inputs.load_tasks(cfg)}
    longest = cfg.live.longest_answer
    kept = [row for row, name in enumerate(outcomes.tasks["task_id"]) if known[name].max_tokens <= longest]
    return outcomes.take(np.array(kept))


def _write(table: pd.DataFrame, path: Path) -> None:
    with artifacts.replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    entry(main, "experiments.live_replay", config="live_replay")
