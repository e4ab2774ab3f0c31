"""Replay ways to make one answer out of several models' answers, beside each model alone.

    python -m experiments.aggregation

Votes and checks over the small models and over all, on the recorded outcomes of evaluation tasks. Everything called is
paid: a vote pays for every voter, one after the other. Prints, writes and draws a table with 95 % intervals over groups
of tasks, and logs it as an MLflow run; `against` is the paired difference in quality to the dearest model alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from omegaconf import DictConfig
from scipy.stats import bootstrap

from experiments import inputs
from experiments.config import entry
from experiments.live_results import log
from slm_orchestration import tables
from slm_orchestration.artifacts import replacing
from slm_orchestration.figures import style
from slm_orchestration.figures.aggregation import aggregation_figure
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.studies.votes import Aggregate, Candidate, best, first, majority, weighted
from slm_orchestration.tasks.task import Task, from_table

METHODS: dict[str, Aggregate] = {"majority": majority, "weighted": weighted, "best": best, "checked": first}


@dataclass(frozen=True)
class Served:
    """What one method gave, per task."""

    quality: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    latency_s: NDArray[np.float64]


def main(cfg: DictConfig) -> None:
    """Print and write one row per method and per model alone."""
    outcomes = inputs.load_outcomes(cfg).where("evaluation")
    known = {task.task_id: task for task in from_table(tables.read(Path(cfg.paths.tasks), tables.TASKS))}
    tasks = [known[task_id] for task_id in outcomes.tasks["task_id"]]
    served = {f"always {name}": alone(outcomes, model) for model, name in enumerate(outcomes.models)}
    small = [model for model, name in enumerate(outcomes.models) if name in outcomes.small]
    for who, voters in (("small", small), ("all", list(range(len(outcomes.models))))):
        served |= {f"{name} of {who}": together(method, tasks, outcomes, voters) for name, method in METHODS.items()}
    table = summary(served, outcomes, resamples=cfg.resamples, seed=cfg.seed)
    path = Path(cfg.paths.results) / "aggregation.csv"
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    print(table.to_string(index=False, float_format="%.3g"))
    files = style.save(aggregation_figure(table), Path(cfg.paths.figures) / "aggregation")
    log(cfg, "aggregation", table, files)
    print(f"{len(tasks)} evaluation tasks; table: {path}, figure: {files[0]}")


def alone(outcomes: OutcomeMatrix, model: int) -> Served:
    """Return what one model gives by itself."""
    return Served(outcomes.quality[:, model], outcomes.cost_usd[:, model], outcomes.latency_s[:, model])


def together(method: Aggregate, tasks: Sequence[Task], outcomes: OutcomeMatrix, voters: Sequence[int]) -> Served:
    """Return what a method makes of the voters' answers; `checked` asks the next one only if a check fails."""
    width = len(outcomes.models)
    answers = outcomes.answers["answer"].to_numpy().reshape(-1, width)[:, list(voters)]
    confidence = outcomes.answers["confidence"].to_numpy(float).reshape(-1, width)[:, list(voters)]
    chosen = np.array(
        [
            method(task, [Candidate(str(answer), sure) for answer, sure in zip(said, given, strict=True)])
            for task, said, given in zip(tasks, answers, confidence, strict=True)
        ]
    )
    last = chosen if method is first else np.full(len(tasks), len(voters) - 1)
    asked = np.arange(len(voters)) <= last[:, None]
    cost_usd, latency_s = (
        np.where(asked, paid[:, list(voters)], 0.0).sum(axis=1) for paid in (outcomes.cost_usd, outcomes.latency_s)
    )
    return Served(outcomes.quality[:, list(voters)][np.arange(len(tasks)), chosen], cost_usd, latency_s)


def summary(served: dict[str, Served], outcomes: OutcomeMatrix, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return means per method, each quality with its interval, and the difference to the dearest model alone."""
    groups = outcomes.tasks["group"].to_numpy()
    dearest = outcomes.quality[:, -1]
    rows = []
    for name, one in served.items():
        quality, difference = (
            interval(values, groups, resamples=resamples, seed=seed) for values in (one.quality, one.quality - dearest)
        )
        rows.append(
            {
                **{"method": name, "quality": one.quality.mean(), "low": quality[0], "high": quality[1]},
                **{"against": (one.quality - dearest).mean(), "from": difference[0], "to": difference[1]},
                **{"cost_usd": one.cost_usd.mean(), "latency_s": one.latency_s.mean()},
            }
        )
    return pd.DataFrame(rows)


def interval(values: NDArray[np.float64], groups: NDArray, *, resamples: int, seed: int) -> tuple[float, float]:
    """Return the 95 % percentile interval of a mean, whole groups resampled; equal values have no spread."""
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    frame = pd.DataFrame({"values": values, "group": groups}).groupby("group")["values"].agg(["sum", "size"])
    found = bootstrap(
        (frame["sum"].to_numpy(float), frame["size"].to_numpy(float)),
        lambda sums, sizes, axis: sums.sum(axis=axis) / sizes.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


if __name__ == "__main__":
    entry(main, "experiments.aggregation", config="aggregation")
