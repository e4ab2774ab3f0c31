"""Decisions that a reader can add up, and larger made-up ones."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slm_orchestration.statistics.strategy_matrix import References, StrategyMatrix, references, strategy_matrix

MODELS = ["tiny", "mid", "big"]


def decide(strategy: str, tasks: pd.DataFrame, quality, cost_usd, escalated=False) -> pd.DataFrame:
    """One strategy's decisions; latency is the task's number and the cost, device seconds twice the cost."""
    cost = np.broadcast_to(np.asarray(cost_usd, dtype=float), len(tasks))
    columns = {"strategy": strategy, "threshold": np.nan, "task_id": tasks["task_id"], "domain": tasks["domain"]}
    outcome = {"quality": np.asarray(quality, dtype=float), "cost_usd": cost, "latency_s": np.arange(len(tasks)) + cost}
    return pd.DataFrame({**columns, **outcome, "escalated": escalated, "router_latency_s": 0.0, "device_s": 2 * cost})


def make_tasks(count: int, *, domains: int = 2, datasets: int = 2, per_group: int = 1) -> pd.DataFrame:
    number = np.arange(count)
    domain = number % domains
    dataset = (number // domains) % datasets
    # Consecutive tasks of one dataset share a group.
    group = number // (domains * datasets) // per_group
    names = {"domain": domain, "dataset": dataset, "group": group}
    texts = {key: [f"{key}-{value}" for value in values] for key, values in names.items()}
    texts["dataset"] = [f"{d}/{s}" for d, s in zip(texts["domain"], texts["dataset"], strict=True)]
    texts["group"] = [f"{s}/{g}" for s, g in zip(texts["dataset"], texts["group"], strict=True)]
    return pd.DataFrame({"task_id": [f"task-{index:05d}" for index in number], **texts})


def make_decisions(tasks: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Three models, guess, a router that escalates at random and one that knows a little."""
    rng = np.random.default_rng(seed)
    count = len(tasks)
    quality = {
        model: (rng.random(count) < share).astype(float) for model, share in zip(MODELS, (0.3, 0.5, 0.7), strict=True)
    }
    cost = {model: price * rng.lognormal(0, 0.5, count) for model, price in zip(MODELS, (1, 3, 9), strict=True)}
    frames = [decide(f"always_{model}", tasks, quality[model], cost[model], model == "big") for model in MODELS]
    frames.append(decide("guess", tasks, rng.random(count) < 0.1, 0.0))
    for name, knows in (("chance", 0.0), ("clever", 0.5)):
        wins = quality["big"] > quality["tiny"]
        escalated = np.where(rng.random(count) < knows, wins, rng.random(count) < 0.4)
        routed = [np.where(escalated, table["big"], table["tiny"]) for table in (quality, cost)]
        frames.append(decide(name, tasks, *routed, escalated))
    return pd.concat(frames, ignore_index=True)


def pool() -> References:
    return references(MODELS, ["tiny", "big"])


def small_matrix(qualities: dict[str, list[float]], costs: dict[str, float]) -> StrategyMatrix:
    """A strategy matrix of a few tasks in one dataset, with a cost per strategy."""
    count = len(next(iter(qualities.values())))
    tasks = make_tasks(count, domains=1, datasets=1)
    frames = [decide(name, tasks, quality, costs[name]) for name, quality in qualities.items()]
    return strategy_matrix(pd.concat(frames, ignore_index=True), tasks, pool())
