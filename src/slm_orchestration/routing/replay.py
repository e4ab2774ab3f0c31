"""Replay: choices and recorded outcomes in, decisions and curves out. Everything called is paid."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration import tables
from slm_orchestration.artifacts import replacing
from slm_orchestration.routing import features
from slm_orchestration.routing.access import PROMPT, STATE, Called, guarded, readable_answers, resolved
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.router import Router
from slm_orchestration.routing.rules import GUESS, Choices

OVERALL = "overall"


@dataclass(frozen=True)
class Overhead:
    """What one prediction of a router takes, from its measured profile."""

    latency_s: float = 0.0
    cost_usd: float = 0.0
    device_s: float = 0.0


@dataclass(frozen=True)
class Replayed:
    """One strategy on one set of tasks; every array is thresholds × tasks."""

    strategy: str
    choices: Choices
    quality: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    router_latency_s: NDArray[np.float64]
    device_s: NDArray[np.float64]
    escalated: NDArray[np.bool_]


def replay(strategy: str, choices: Choices, outcomes: OutcomeMatrix, *, overhead: Overhead) -> Replayed:
    """Return what `choices` cost and gave. All calls are paid in dollars and in seconds, and so is the router."""
    if choices.called.shape[1:] != outcomes.quality.shape:
        raise ValueError(
            f"choices are for {choices.called.shape[1:]} tasks × models, outcomes for {outcomes.quality.shape}"
        )
    if choices.stand_in is not None:
        outcomes = stood_in(outcomes, choices.stand_in)
    rows = np.arange(len(outcomes))
    guessed = outcomes.tasks["guess_quality"].to_numpy(float)
    served = outcomes.quality[rows, np.maximum(choices.served, 0)]
    router_latency_s = np.asarray(choices.predictions * overhead.latency_s, dtype=np.float64)
    large = np.array([model not in outcomes.small for model in outcomes.models])
    return Replayed(
        strategy=strategy,
        choices=choices,
        quality=np.where(choices.served == GUESS, guessed, served),
        cost_usd=_paid(choices, outcomes, "cost_usd") + choices.predictions * overhead.cost_usd,
        latency_s=_paid(choices, outcomes, "latency_s") + router_latency_s,
        router_latency_s=router_latency_s,
        device_s=_paid(choices, outcomes, "device_s") + choices.predictions * overhead.device_s,
        escalated=(choices.called & large).any(axis=2),
    )


def decisions(replayed: Replayed, outcomes: OutcomeMatrix) -> pd.DataFrame:
    """Return DECISIONS: a row per threshold and task."""
    thresholds, count = replayed.choices.thresholds, len(outcomes)
    names = np.array([*outcomes.models, "guess"], dtype=object)
    called = replayed.choices.called.reshape(-1, len(outcomes.models))
    _, first, code = np.unique(np.packbits(called, axis=1), axis=0, return_index=True, return_inverse=True)
    lists = [[model for model, paid in zip(outcomes.models, called[row], strict=True) if paid] for row in first]
    frame = pd.DataFrame(
        {
            "strategy": replayed.strategy,
            "threshold": np.repeat(thresholds, count),
            "task_id": np.tile(outcomes.tasks["task_id"].to_numpy(), len(thresholds)),
            "domain": np.tile(outcomes.tasks["domain"].to_numpy(), len(thresholds)),
            "models_called": [lists[index] for index in code.ravel().tolist()],
            "model": names[replayed.choices.served.ravel()],
            "escalated": replayed.escalated.ravel(),
            "quality": replayed.quality.ravel(),
            "cost_usd": replayed.cost_usd.ravel() if outcomes.cost_unit == "usd" else np.nan,
            "latency_s": replayed.latency_s.ravel(),
            "router_latency_s": replayed.router_latency_s.ravel(),
            "device_s": replayed.device_s.ravel(),
        }
    )
    return tables.conform(frame, tables.DECISIONS)


def curves(replayed: Replayed, outcomes: OutcomeMatrix) -> pd.DataFrame:
    """Return CURVES: means per threshold, overall and per domain."""
    domains = outcomes.tasks["domain"].to_numpy()
    parts = [(OVERALL, np.ones(len(domains), dtype=bool)), *((name, domains == name) for name in np.unique(domains))]
    return tables.conform(
        pd.concat([_curve(replayed, outcomes, *part) for part in parts], ignore_index=True), tables.CURVES
    )


def _curve(replayed: Replayed, outcomes: OutcomeMatrix, domain: str, part: NDArray[np.bool_]) -> pd.DataFrame:
    dearest = outcomes.quality[part, -1].mean()
    quality = replayed.quality[:, part].mean(axis=1)
    return pd.DataFrame(
        {
            "strategy": replayed.strategy,
            "threshold": replayed.choices.thresholds,
            "domain": domain,
            "small_share": 1 - replayed.escalated[:, part].mean(axis=1),
            "quality": quality,
            "retention": quality / dearest if dearest > 0 else np.nan,
            "cost_usd": replayed.cost_usd[:, part].mean(axis=1) if outcomes.cost_unit == "usd" else np.nan,
            "latency_s": replayed.latency_s[:, part].mean(axis=1),
            "tasks": int(part.sum()),
        }
    )


def stood_in(outcomes: OutcomeMatrix, stand_in: NDArray[np.intp]) -> OutcomeMatrix:
    """Return outcomes in which each task has, per model, the outcome of the task that `stand_in` names."""
    columns = np.arange(len(outcomes.models))
    return dataclasses.replace(
        outcomes,
        quality=outcomes.quality[stand_in, columns],
        cost_usd=outcomes.cost_usd[stand_in, columns],
        latency_s=outcomes.latency_s[stand_in, columns],
        device_s=outcomes.device_s[stand_in, columns],
    )


def _paid(choices: Choices, outcomes: OutcomeMatrix, name: str) -> NDArray[np.float64]:
    """Return the sum of cost_usd, latency_s or device_s over the models called, and what the router's reads cost."""
    amount, before = getattr(outcomes, name), np.zeros(len(outcomes))
    if choices.reads is not None:
        amount, before = amount + choices.reads.call[name], choices.reads.before[name]
    # What was not recorded is NaN, and so is the sum where such a model is called, but not elsewhere.
    lost = np.isnan(amount)
    paid = np.einsum("tnm,nm->tn", choices.called, np.where(lost, 0.0, amount)) + before
    return np.where((choices.called & lost).any(axis=2), np.nan, paid) if lost.any() else paid


# ========== What a router's own predictions take: measured once into a committed table, read by every replay.
COLUMNS = ["strategy", "single_p50_s", "single_p99_s", "batched_s", "tasks", "device", "threads", "measured_on"]


def measure_overhead(router: Router, outcomes: OutcomeMatrix, *, most: int = 200) -> dict[str, float | int]:
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


def read_overhead(path: Path) -> pd.DataFrame:
    """Return the committed profile, one row per strategy; empty if there is none."""
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS).set_index("strategy")
    return pd.read_csv(path).set_index("strategy")


def write_overhead(path: Path, profile: pd.DataFrame) -> None:
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
