"""Replay: choices and recorded outcomes in, decisions and curves out; every call and every prediction is paid.

What a router's own predictions take is measured once into a committed profile (`measure_overhead`), so that replay
is deterministic.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration import tables
from slm_orchestration.artifacts import replacing
from slm_orchestration.routing import features
from slm_orchestration.routing.access import PROMPT, STATE, Called, guarded, parsed_reads, readable_answers
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.router import Router
from slm_orchestration.routing.rules import GUESS, Choices
from slm_orchestration.statistics.strategy_matrix import OVERALL

MIXED = "mixed"  # in place of the served model where one is drawn at random
OVERHEAD_COLUMNS = [
    "strategy",
    "single_p50_s",
    "single_p99_s",
    "batched_s",
    "tasks",
    "device",
    "threads",
    "measured_on",
]


@dataclass(frozen=True)
class Overhead:
    """What one prediction of a router costs: seconds of latency, dollars, device seconds."""

    latency_s: float = 0.0
    cost_usd: float = 0.0
    device_s: float = 0.0


@dataclass(frozen=True)
class Replayed:
    """One strategy replayed on one set of tasks; every array is thresholds × tasks.

    `escalated` is the probability that a model which is not small is called: 0 or 1, unless models are drawn at random.
    """

    strategy: str
    choices: Choices
    quality: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    router_latency_s: NDArray[np.float64]
    device_s: NDArray[np.float64]
    escalated: NDArray[np.float64]


def replay(strategy: str, choices: Choices, outcomes: OutcomeMatrix, *, overhead: Overhead) -> Replayed:
    """Return quality and cost of `choices`: all models called, the router's reads and its predictions are paid.

    Where a model is drawn at random, every value is its expectation, never that of one draw. Raises ValueError if
    choices and outcomes differ in tasks or models.
    """
    if choices.called.shape[1:] != outcomes.quality.shape:
        raise ValueError(
            f"choices are for {choices.called.shape[1:]} tasks × models, outcomes for {outcomes.quality.shape}"
        )
    rows = np.arange(len(outcomes))
    guessed = outcomes.tasks["guess_quality"].to_numpy(float)
    if choices.own_answers is not None:
        right = choices.own_answers == outcomes.tasks["reference"].to_numpy()
        guessed = np.where(pd.isna(choices.own_answers), guessed, right)
    served = outcomes.quality[rows, np.maximum(choices.served, 0)]
    quality = np.where(choices.served == GUESS, guessed, served)
    if choices.shares is not None:
        quality = np.minimum(np.einsum("tnm,nm->tn", choices.shares, outcomes.quality), 1.0)
    router_latency_s = np.asarray(choices.predictions * overhead.latency_s, dtype=np.float64)
    large = np.array([model not in outcomes.small for model in outcomes.models])
    escalated = (choices.called & large).any(axis=2).astype(float)
    if choices.shares is not None:
        escalated = np.minimum(choices.shares @ large, 1.0)
    return Replayed(
        strategy=strategy,
        choices=choices,
        quality=quality,
        cost_usd=_paid(choices, outcomes, "cost_usd") + choices.predictions * overhead.cost_usd,
        latency_s=_paid(choices, outcomes, "latency_s") + router_latency_s,
        router_latency_s=router_latency_s,
        device_s=_paid(choices, outcomes, "device_s") + choices.predictions * overhead.device_s,
        escalated=escalated,
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
            "model": names[replayed.choices.served.ravel()] if replayed.choices.shares is None else MIXED,
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
    """Return CURVES: means per threshold, overall and per domain; retention is relative to the most expensive model."""
    domains = outcomes.tasks["domain"].to_numpy()
    parts = [(OVERALL, np.ones(len(domains), dtype=bool)), *((name, domains == name) for name in np.unique(domains))]
    return tables.conform(
        pd.concat([_curve(replayed, outcomes, *part) for part in parts], ignore_index=True), tables.CURVES
    )


def measure_overhead(router: Router, outcomes: OutcomeMatrix, *, most: int = 200) -> dict[str, float | int]:
    """Return seconds per prediction of a fitted router: one task at a time (p50, p99), and per task in one batch.

    The mean of the prediction before any call (for a router that reads prompts or states) and the one after the first
    call (for one that reads answers). Assembling the router's inputs is included; the prefill of a state and samples
    are not, as `ReadCosts` charges them. Raises ValueError if the router predicts at neither point.
    """
    part = outcomes.take(np.arange(min(len(outcomes), most)))
    reads = parsed_reads(router, outcomes.models)
    states: list[Called] = [()] if reads[PROMPT] or reads[STATE] else []
    states += [(0,)] if 0 in readable_answers(router, outcomes.models) else []
    if not states:
        raise ValueError(
            f"{type(router).__name__} reads neither the prompt nor the cheapest model's answer: nothing to time"
        )
    _seconds(router, part.take(np.array([0])), states)  # warm-up: the first call fills caches
    single = np.array([_seconds(router, part.take(np.array([row])), states) for row in range(len(part))])
    return {
        "single_p50_s": float(np.quantile(single, 0.5)),
        "single_p99_s": float(np.quantile(single, 0.99)),
        "batched_s": _seconds(router, part, states) / len(part),
        "tasks": len(part),
    }


def read_overhead(path: Path) -> pd.DataFrame:
    """Return the committed profile indexed by strategy; empty if there is no file."""
    if not path.exists():
        return pd.DataFrame(columns=OVERHEAD_COLUMNS).set_index("strategy")
    return pd.read_csv(path).set_index("strategy")


def write_overhead(path: Path, profile: pd.DataFrame) -> None:
    """Write the profile, sorted by strategy, numbers to three significant digits."""
    with replacing(path) as temporary:
        profile.sort_index()[OVERHEAD_COLUMNS[1:]].to_csv(temporary, float_format="%.3g", lineterminator="\n")


def overhead(profile: pd.DataFrame, strategy: str, *, usd_per_s: float) -> Overhead:
    """Return the costs of one prediction: latency is the p50 of single calls, device seconds are those of a batch."""
    row = profile.loc[strategy].to_dict()
    device_s = float(row["batched_s"])
    return Overhead(latency_s=float(row["single_p50_s"]), cost_usd=device_s * usd_per_s, device_s=device_s)


def _curve(replayed: Replayed, outcomes: OutcomeMatrix, domain: str, part: NDArray[np.bool_]) -> pd.DataFrame:
    reference = outcomes.quality[part, -1].mean()
    quality = replayed.quality[:, part].mean(axis=1)
    return pd.DataFrame(
        {
            "strategy": replayed.strategy,
            "threshold": replayed.choices.thresholds,
            "domain": domain,
            "small_share": 1 - replayed.escalated[:, part].mean(axis=1),
            "quality": quality,
            "retention": quality / reference if reference > 0 else np.nan,
            "cost_usd": replayed.cost_usd[:, part].mean(axis=1) if outcomes.cost_unit == "usd" else np.nan,
            "latency_s": replayed.latency_s[:, part].mean(axis=1),
            "tasks": int(part.sum()),
        }
    )


def _paid(choices: Choices, outcomes: OutcomeMatrix, name: str) -> NDArray[np.float64]:
    """Return the sum of cost_usd, latency_s or device_s over the models called and the router's reads."""
    amount, before = getattr(outcomes, name), np.zeros(len(outcomes))
    if choices.read_costs is not None:
        amount, before = amount + choices.read_costs.per_call[name], choices.read_costs.before_calls[name]
    # An amount that was not recorded is NaN; so is the sum, but only where that model is called.
    missing = np.isnan(amount)
    weights = choices.called if choices.shares is None else choices.shares
    paid = np.einsum("tnm,nm->tn", weights, np.where(missing, 0.0, amount)) + before
    return np.where((choices.called & missing).any(axis=2), np.nan, paid) if missing.any() else paid


def timed(call: Callable[[], object]) -> float:
    """Return the seconds of a call that meets its prompts for the first time, as live requests are."""
    features.clear_cache()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _seconds(router: Router, outcomes: OutcomeMatrix, states: list[Called]) -> float:
    predict = guarded(router, outcomes)
    return timed(lambda: [predict(state) for state in states]) / len(states)
