"""Online strategies: means over shuffled streams, and their spread.

What an online strategy serves depends on the order in which tasks arrive, and each answer on those before it.
Resampling tasks says nothing about that, so there is no bootstrap and no test; the interval is that of the streams.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration import tables
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.rules import Choices
from slm_orchestration.statistics.metrics import divide
from slm_orchestration.statistics.strategy_matrix import OVERALL, STREAMS
from slm_orchestration.studies.curve_metrics import COST_TARGETS
from slm_orchestration.studies.run_summary import gain_over, mixture_points

Floats = NDArray[np.float64]


def measures_by_stream(
    choices: Choices, evaluation: OutcomeMatrix, overhead: Overhead, *, calibration: OutcomeMatrix, costs: Floats
) -> dict[str, Floats]:
    """Return each metric per stream and threshold, streams × thresholds; mean_gain is streams × 1.

    `costs` is the mean cost on calibration tasks at each threshold, by which mean_gain chooses its thresholds.
    """
    if choices.by_stream is None:
        raise ValueError("only an online strategy is measured over streams")
    rows, called = np.arange(len(evaluation)), choices.by_stream
    means = {
        name: np.stack([getattr(evaluation, name)[rows, stream].mean(axis=1) for stream in called])
        for name in ("quality", "cost_usd", "latency_s")
    }
    means["cost_usd"] += overhead.cost_usd
    means["latency_s"] += overhead.latency_s
    small = np.array([model in evaluation.small for model in evaluation.models])
    last = {name: getattr(evaluation, name)[:, -1].mean() for name in means}
    gain = gain_over(mixture_points(calibration, evaluation), means["cost_usd"], means["quality"])
    cost = calibration.cost_usd.mean(axis=0)
    targets = np.linspace(cost[0], cost[-1], COST_TARGETS)
    nearest = np.abs(costs[:, None] - targets).argmin(axis=0)
    return means | {
        "small_share": small[called].mean(axis=2),
        "retention": divide(means["quality"], np.array(last["quality"])),
        "cost_saving": divide(np.array(last["cost_usd"]), means["cost_usd"]),
        "latency_reduction": divide(np.array(last["latency_s"]), means["latency_s"]),
        "gain_over_mixture": gain,
        "mean_gain": gain[:, nearest].mean(axis=1, keepdims=True),
    }


def summary(strategy: str, by_stream: dict[str, Floats], *, position: int, level: float, tasks: int) -> pd.DataFrame:
    """Return ESTIMATES, overall, at the threshold `position`: the mean over streams, low and high their central share.

    The metric STREAMS is their number.
    """
    rows, streams = [], len(by_stream["quality"])
    method = f"mean of {streams} shuffled streams; the interval holds {level:.0%} of the streams and is no test"
    for metric, values in by_stream.items():
        at = values[:, min(position, values.shape[1] - 1)]
        low, high = np.quantile(at, [(1 - level) / 2, (1 + level) / 2])
        rows.append({"metric": metric, "estimate": at.mean(), "low": low, "high": high, "method": method})
    rows.append({"metric": STREAMS, "estimate": float(streams), "low": np.nan, "high": np.nan, "method": "counted"})
    frame = pd.DataFrame(rows).assign(strategy=strategy, domain=OVERALL, level=level, tasks=tasks)
    return tables.conform(frame.sort_values("metric", ignore_index=True), tables.ESTIMATES)
