"""Measure the speed of replay: exact curves against a pandas loop, a paired bootstrap of curves, and how both scale.

    python -m benchmarks.replay_speed
    python -m benchmarks.replay_speed --csv data/replay_speed.csv     also keeps what the figure of growth shows

Everything is made up from a seed. Seconds are the best of three by the clock, on one core; the processor's own seconds
(user, and system: mostly memory that is handed out for the first time) are of the same run.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from slm_orchestration.routing import rules, sweep
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.rules import Utility
from slm_orchestration.statistics.curves import pair_curve, resample_measures
from slm_orchestration.statistics.resampling import Design

THRESHOLDS, RESAMPLES, MMLU_TASKS = 1_000, 10_000, 14_042


def made_up(tasks: int, models: int) -> tuple[OutcomeMatrix, np.ndarray]:
    """Return outcomes and predicted qualities, both random."""
    rng = np.random.default_rng(0)
    quality = (rng.random((tasks, models)) < np.linspace(0.4, 0.8, models)).astype(float)
    cost = np.geomspace(0.1, 1.0, models) * rng.uniform(0.5, 1.5, (tasks, models))
    names = tuple(f"model-{index}" for index in range(models))
    empty = pd.DataFrame(index=range(tasks))
    outcomes = OutcomeMatrix(empty, names, frozenset(names[:-1]), quality, cost, cost, cost, pd.DataFrame())
    return outcomes, rng.random((tasks, models))


def exact_curve(outcomes: OutcomeMatrix, predicted: np.ndarray) -> sweep.ExactCurve:
    """Return the exact curve of the utility rule on given predictions."""
    pool = rules.PoolInfo(np.geomspace(0.1, 1.0, len(outcomes.models)), frozenset())
    pieces = sweep.pieces(Utility(), lambda called, rows=None: predicted, pool)
    return sweep.curve(sweep.changes(pieces, outcomes, reads=None, overhead=Overhead()))


def pandas_loop(outcomes: OutcomeMatrix, predicted: np.ndarray, thresholds: np.ndarray) -> pd.DataFrame:
    """Return the same means by the obvious implementation: a loop over thresholds on a table."""
    relative = np.geomspace(0.1, 1.0, len(outcomes.models))
    frame = pd.DataFrame(predicted)
    quality, cost = pd.DataFrame(outcomes.quality), pd.DataFrame(outcomes.cost_usd)
    rows = []
    for threshold in thresholds:
        chosen = ((1 - threshold) * frame - threshold * relative).idxmax(axis=1)
        served = [table.to_numpy()[np.arange(len(frame)), chosen] for table in (quality, cost)]
        rows.append((threshold, pd.Series(served[0]).mean(), pd.Series(served[1]).mean()))
    return pd.DataFrame(rows, columns=["threshold", "quality", "cost_usd"])


def seconds(work: Callable[[], object], repeats: int = 3) -> tuple[float, float, float]:
    """Return the best wall-clock time of a few runs, and the processor's user and system time of that run."""
    taken = []
    for _ in range(repeats):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        work()
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        taken.append((wall, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime))
    return min(taken)


def bootstrap(tasks: int, resamples: int) -> np.ndarray:
    """Return resamples × (APGR, CPT50, CPT80, retention) of a router and of the random one on the same weights."""
    rng = np.random.default_rng(0)
    cheap, dear = (rng.random((2, tasks)) < np.array([[0.68], [0.81]])).astype(float)
    score = rng.random(tasks) + 0.2 * (dear - cheap)
    curve, routed = pair_curve(score, cheap, dear), np.where(score > 0.5, dear, cheap)

    def measure(weights: np.ndarray) -> np.ndarray:
        kept, all_dear = (np.einsum("ij,j->i", weights, quality) for quality in (routed, dear))
        return np.column_stack([curve.measures(weights), kept / all_dear])

    design = Design(np.arange(tasks), np.zeros(tasks, dtype=np.int64))
    return resample_measures(measure, design, resamples=resamples, seed=0)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--largest", type=int, default=10_000_000, help="tasks of the largest curve")
    arguments.add_argument("--csv", type=Path, help="write tasks and wall-clock seconds of curve and loop there")
    asked = arguments.parse_args()
    largest, rows, growth = asked.largest, [], []
    for tasks in (10_000, 100_000, 1_000_000, 10_000_000):
        if tasks <= largest:
            made = made_up(tasks, 3)
            taken = seconds(lambda made=made: exact_curve(*made), repeats=3 if tasks < 10_000_000 else 1)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            rows.append((f"exact curve, {tasks:,} tasks x 3 models", *taken, f"peak memory {memory:.1f} GB"))
            growth.append(("exact curve", tasks, taken[0]))
    made = made_up(10_000, 3)
    few = np.linspace(0.001, 0.999, 20)
    ours, loop = (
        seconds(lambda: exact_curve(*made)),
        [value * THRESHOLDS / len(few) for value in seconds(lambda: pandas_loop(*made, few), 1)],
    )
    note = f"{loop[0] / ours[0]:,.0f} times the exact curve's; timed at {len(few)} thresholds, scaled"
    rows.append((f"pandas loop, 10,000 tasks, {THRESHOLDS:,} thresholds", *loop, note))
    growth.append((f"loop over {THRESHOLDS:,} thresholds", 10_000, loop[0]))
    if asked.csv:
        pd.DataFrame(growth, columns=["way", "tasks", "seconds"]).to_csv(asked.csv, index=False, float_format="%.4g")
    taken = seconds(lambda: bootstrap(MMLU_TASKS, RESAMPLES))
    rows.append((f"{RESAMPLES:,} resamples of APGR, CPT50, CPT80, retention", *taken, f"{MMLU_TASKS:,} tasks"))
    columns = ["what", "seconds", "user", "system", "note"]
    print(pd.DataFrame(rows, columns=columns).to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
