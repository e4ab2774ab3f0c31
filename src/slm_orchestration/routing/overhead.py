"""What a router's own predictions take: measured once into a committed table, read by every replay."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd

from slm_orchestration.files import replacing
from slm_orchestration.routing import features
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.reads import PROMPT, STATE, guarded, readable_answers, resolved
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.router import Router
from slm_orchestration.routing.walk import Called

COLUMNS = ["strategy", "single_p50_s", "single_p99_s", "batched_s", "tasks", "device", "threads", "measured_on"]


def measure(router: Router, outcomes: OutcomeMatrix, *, most: int = 200) -> dict[str, float | int]:
    """Return seconds per prediction of a fitted router: one task at a time (p50, p99), and per task of one batch.

    Averaged over the prediction before any call, for a router that reads prompts or states, and the one after the first
    call, for a router that reads answers. What is handed to the router is put together within the time that is taken;
    what it reads (a state's prefill, samples) is paid elsewhere.
    """
    part = outcomes.take(np.arange(min(len(outcomes), most)))
    reads = resolved(router, outcomes.models)
    states: list[Called] = [()] if reads[PROMPT] or reads[STATE] else []
    states += [(0,)] if 0 in readable_answers(router, outcomes.models) else []
    if not states:
        raise ValueError(f"{type(router).__name__} reads nothing of the cheapest model or the prompt: nothing to time")
    _seconds(router, part.take(np.array([0])), states)  # the first call pays for caches that later ones share
    single = np.array([_seconds(router, part.take(np.array([row])), states) for row in range(len(part))])
    return {
        "single_p50_s": float(np.quantile(single, 0.5)),
        "single_p99_s": float(np.quantile(single, 0.99)),
        "batched_s": _seconds(router, part, states) / len(part),
        "tasks": len(part),
    }


def read(path: Path) -> pd.DataFrame:
    """Return the committed profile, one row per strategy; empty if there is none."""
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS).set_index("strategy")
    return pd.read_csv(path).set_index("strategy")


def write(path: Path, profile: pd.DataFrame) -> None:
    """Write the profile, sorted by strategy, with seconds to three digits that mean something."""
    with replacing(path) as temporary:
        profile.sort_index()[COLUMNS[1:]].to_csv(temporary, float_format="%.3g", lineterminator="\n")


def overhead(profile: pd.DataFrame, strategy: str, *, usd_per_s: float) -> Overhead:
    """Return what one prediction takes: seconds one at a time, and a batch's device seconds with their price."""
    row = profile.loc[strategy].to_dict()
    device_s = float(row["batched_s"])
    return Overhead(latency_s=float(row["single_p50_s"]), cost_usd=device_s * usd_per_s, device_s=device_s)


def _seconds(router: Router, outcomes: OutcomeMatrix, states: list[Called]) -> float:
    predict = guarded(router, outcomes)
    features.forget()  # a live request is new
    start = time.perf_counter()
    for state in states:
        predict(state)
    return (time.perf_counter() - start) / len(states)
