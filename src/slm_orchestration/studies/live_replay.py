"""Run the orchestrator on tasks that its router never saw, and compare what happens with what replay predicts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.serving.fit import FittedRouting
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator
from slm_orchestration.serving.pool import Pool
from slm_orchestration.serving.result import Result
from slm_orchestration.serving.selection import Progress, TaskLimits, select
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task, request_table

MEASURES = ("quality", "cost_usd", "latency_s")
_RESAMPLES = 4000


def unseen(everything: pd.DataFrame, seen: pd.DataFrame, *, longest_answer: int) -> pd.DataFrame:
    """Return tasks of the datasets of `seen` that share no group with it and allow at most `longest_answer` tokens."""
    fresh = everything[~everything["group"].isin(seen["group"]) & everything["dataset"].isin(seen["dataset"])]
    return fresh[fresh["max_tokens"] <= longest_answer]


def load_models(pool: Pool, task: Task, *, seed: int) -> None:
    """Load every model, as loading is no part of a task's latency.

    On a thread that ends: torch's OpenMP threads belong to the thread that computes, and while those of another thread
    are kept idle there are more threads than processors, which makes calls much slower.
    """
    with ThreadPoolExecutor(1) as threads:
        for model in pool.models:
            threads.submit(model.complete, [replace(task, max_tokens=1)], seed=seed).result()


def replay_on(outcomes: OutcomeMatrix, ready: FittedRouting, width: int) -> pd.DataFrame:
    """Return quality, cost and latency of the decisions on recorded outcomes of the `width` cheapest models."""
    trimmed = replace(
        outcomes,
        models=outcomes.models[:width],
        quality=outcomes.quality[:, :width],
        cost_usd=outcomes.cost_usd[:, :width],
        latency_s=outcomes.latency_s[:, :width],
        device_s=outcomes.device_s[:, :width],
        answers=outcomes.answers[outcomes.answers["model"].isin(outcomes.models[:width])].reset_index(drop=True),
    )
    (choices,) = ready.strategy.choose(trimmed, np.array([ready.threshold])).values()
    called, served = choices.called[0], choices.served[0]
    return pd.DataFrame(
        {
            "quality": trimmed.quality[np.arange(len(trimmed)), served],
            "cost_usd": (called * trimmed.cost_usd).sum(axis=1),
            "latency_s": (called * trimmed.latency_s).sum(axis=1),
        }
    )


def predict(replayed: pd.DataFrame, count: int, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return per measure the replayed mean, and a 95 % prediction interval for the mean of `count` new tasks.

    Each resample draws the recorded tasks and `count` of those again, so the interval covers the variation of both
    samples.
    """
    rows = []
    for measure in MEASURES:
        values: NDArray[np.float64] = replayed[measure].to_numpy(float)
        means = rng.choice(rng.choice(values, (_RESAMPLES, len(values))), count, axis=1).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        rows.append({"measure": measure, "predicted": values.mean(), "low": low, "high": high, "from": len(values)})
    return pd.DataFrame(rows)


def process_all(
    orchestrator: AdaptiveOrchestrator, tasks: Sequence[Task], concurrency: int
) -> tuple[list[Result], float]:
    """Return the live results in the order of the tasks, `concurrency` in flight, and the seconds that all took."""
    started = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as threads:
        results = list(threads.map(orchestrator.process_task, tasks))
    return results, time.perf_counter() - started


def observe(tasks: list[Task], results: list[Result], ready: FittedRouting) -> pd.DataFrame:
    """Return a row per task: what happened, the expected latency, and whether replay starts with the same call."""
    expected_s, expected_usd = ready.expectation.before_call(tasks)
    progress = Progress(ready.models, request_table(tasks), expected_s, expected_usd)
    first = select(ready.strategy, ready.threshold, progress, TaskLimits())
    names = [ready.models[model] for model in first.call]
    column = {name: index for index, name in enumerate(ready.models)}
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
                sum(expected_s[row, column[name]] for name in result.decision.models_called)
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
