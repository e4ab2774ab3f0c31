"""Run the orchestrator on unseen tasks with the real models, and compare what happens with what replay predicts.

    python -m experiments.live_replay
    python -m experiments.live_replay live.most=100 live.concurrency=[1]

The prediction, an interval for the means of quality, cost and latency over so many tasks, is written first: from the
replayed decisions of the recorded evaluation tasks of the same datasets. Then the models are asked. Afterwards the
prompts are decided again in one batch, as replay does: both must begin with the same call.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments import inputs
from experiments.config import entry
from slm_orchestration import artifacts, tables
from slm_orchestration.serving.fit import Fitted
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator
from slm_orchestration.serving.pool import Pool
from slm_orchestration.serving.result import Result
from slm_orchestration.serving.selection import Limits, Progress, select
from slm_orchestration.serving.settings import Settings
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task, from_table

MEASURES = ("quality", "cost_usd", "latency_s")


def main(cfg: DictConfig) -> None:
    """Predict, ask, compare; print and write all three."""
    folder = Path(cfg.paths.results) / "live_replay"
    pool = _pool(cfg)
    tasks = _unseen(cfg)
    settings = Settings(routing_strategy=cfg.routing.name, seed=cfg.seed)
    orchestrator = AdaptiveOrchestrator(
        {"routing_strategy": settings.routing_strategy, "seed": settings.seed},
        pool=pool,
        outcomes=Path(cfg.paths.outcomes),
        tasks=Path(cfg.paths.tasks),
    )
    ready = orchestrator.prepare()
    predicted = predict(cfg, ready, pool, len(tasks))
    _write(predicted, folder / "prediction.csv")
    print(f"prediction for {len(tasks)} unseen tasks, {ready.rule} (written before any was asked)")
    print(predicted.to_string(index=False, float_format="%.4g"))
    parts = []
    load(pool, tasks[0], seed=cfg.seed)
    for concurrency in cfg.live.concurrency:
        results, seconds = ask(orchestrator, tasks, int(concurrency))
        parts.append(observe(tasks, results, ready).assign(concurrency=int(concurrency)))
        print(f"concurrency {concurrency}: {len(tasks)} tasks in {seconds:.0f} s")
    observed = pd.concat(parts, ignore_index=True)
    _write(observed, folder / "observed.csv")
    compared = compare(predicted, observed)
    _write(compared, folder / "compared.csv")
    print(compared.to_string(index=False, float_format="%.4g", na_rep=""))
    orchestrator.close()
    print(f"tables: {folder}")


def load(pool: Pool, task: Task, *, seed: int) -> None:
    """Load every model, as that is no part of an answer's time.

    On a thread that ends: torch's OpenMP threads belong to the thread that computes, and while idle ones of another
    are kept, there are more than processors, which makes each wait of theirs, and so calls, much slower.
    """
    with ThreadPoolExecutor(1) as threads:
        for model in pool.models:
            threads.submit(model.complete, [replace(task, max_tokens=1)], seed=seed).result()


def predict(cfg: DictConfig, ready: Fitted, pool: Pool, count: int) -> pd.DataFrame:
    """Return per measure the mean replayed on recorded evaluation tasks, and a 95 % interval for `count` new tasks.

    Tasks are drawn anew, `count` and the recorded ones at once, so the interval holds what both samples vary.
    """
    recorded = replayed(cfg, ready, pool)
    rng = np.random.default_rng(cfg.seed)
    rows = []
    for measure in MEASURES:
        values = recorded[measure].to_numpy(float)
        means = rng.choice(rng.choice(values, (4000, len(values))), count, axis=1).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        rows.append({"measure": measure, "predicted": values.mean(), "low": low, "high": high, "from": len(values)})
    return pd.DataFrame(rows)


def replayed(cfg: DictConfig, ready: Fitted, pool: Pool) -> pd.DataFrame:
    """Return quality, cost and latency of the replayed decisions on the recorded evaluation tasks."""
    outcomes = inputs.load_outcomes(cfg).where("evaluation")
    width = len(pool.models)
    short = cfg.live.longest_answer
    known = {task.task_id: task for task in from_table(tables.read(Path(cfg.paths.tasks), tables.TASKS))}
    kept = [row for row, name in enumerate(outcomes.tasks["task_id"]) if known[name].max_tokens <= short]
    part = outcomes.take(np.array(kept))
    trimmed = replace(
        part,
        models=part.models[:width],
        quality=part.quality[:, :width],
        cost_usd=part.cost_usd[:, :width],
        latency_s=part.latency_s[:, :width],
        device_s=part.device_s[:, :width],
        answers=part.answers[part.answers["model"].isin(part.models[:width])].reset_index(drop=True),
    )
    (choices,) = ready.strategy.choose(trimmed, np.array([ready.threshold])).values()
    called, served = choices.called[0], choices.served[0]
    return pd.DataFrame(
        {
            "quality": trimmed.quality[np.arange(len(kept)), served],
            "cost_usd": (called * trimmed.cost_usd).sum(axis=1),
            "latency_s": (called * trimmed.latency_s).sum(axis=1),
        }
    )


def ask(orchestrator: AdaptiveOrchestrator, tasks: list[Task], concurrency: int) -> tuple[list[Result], float]:
    """Return the live results in the order of the tasks, so many in flight, and the seconds that all took."""
    started = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as threads:
        results = list(threads.map(orchestrator.process_task, tasks))
    return results, time.perf_counter() - started


def observe(tasks: list[Task], results: list[Result], ready: Fitted) -> pd.DataFrame:
    """Return a row per task: what happened, what was expected, and whether replay begins with the same call."""
    questions = [task.question for task in tasks]
    expected_s, expected_usd = ready.expectation.before_call(tasks)
    progress = Progress(ready.models, questions, expected_s, expected_usd)
    first = select(ready.strategy, ready.threshold, progress, Limits())
    names = [ready.models[model] for model in first.call]
    where = {name: place for place, name in enumerate(ready.models)}
    return pd.DataFrame(
        {
            "task_id": [task.task_id for task in tasks],
            "models_called": [" ".join(result.decision.models_called) for result in results],
            "model": [result.model for result in results],
            "same_first_call": [
                result.decision.models_called[:1] == (name,) for result, name in zip(results, names, strict=True)
            ],
            "quality": [score(task, result.output or "") for task, result in zip(tasks, results, strict=True)],
            "cost_usd": [result.cost_usd for result in results],
            "latency_s": [result.latency_s for result in results],
            "expected_latency_s": [
                sum(expected_s[row, where[name]] for name in result.decision.models_called)
                for row, result in enumerate(results)
            ],
            "error": [result.error for result in results],
        }
    )


def compare(predicted: pd.DataFrame, observed: pd.DataFrame) -> pd.DataFrame:
    """Return per concurrency and measure the prediction, what was observed and whether it lies in the interval."""
    rows = []
    for concurrency, part in observed.groupby("concurrency"):
        for row in predicted.to_dict("records"):
            mean = part[row["measure"]].mean()
            inside = "yes" if row["low"] <= mean <= row["high"] else "no"
            rows.append({"concurrency": concurrency, **row, "observed": mean, "inside": inside})
        error = (part["latency_s"] - part["expected_latency_s"]).abs() / part["latency_s"]
        same = part["same_first_call"].mean()
        extra = {"same first call as replay": same, "latency model's median error": error.median()}
        rows += [{"concurrency": concurrency, "measure": name, "observed": value} for name, value in extra.items()]
    return pd.DataFrame(rows)


def _pool(cfg: DictConfig) -> Pool:
    models = [instantiate(model) for model in cfg.pool.models[: cfg.live.models]]
    return Pool(tuple(models), frozenset(cfg.pool.small) & {model.name for model in models})


def _unseen(cfg: DictConfig) -> list[Task]:
    path = Path(cfg.live.tasks)
    if not path.exists():
        raise ValueError(f"{path}: no such tasks; `python -m experiments.prepare suite={path.stem}` makes them")
    everything = tables.read(path, tables.TASKS)
    seen = tables.read(Path(cfg.paths.tasks), tables.TASKS)
    fresh = everything[~everything["group"].isin(seen["group"]) & everything["dataset"].isin(seen["dataset"])]
    fresh = fresh[fresh["max_tokens"] <= cfg.live.longest_answer]
    if fresh.empty:
        raise ValueError(f"{path}: no task of the datasets of {cfg.paths.tasks} that is not among them")
    chosen = fresh.sample(min(cfg.live.most, len(fresh)), random_state=cfg.seed).sort_values("task_id")
    return from_table(chosen)


def _write(table: pd.DataFrame, path: Path) -> None:
    with artifacts.replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    entry(main, "experiments.live_replay", config="live_replay")
