"""Replay: choices and recorded outcomes in, decisions and curves out. Everything called is paid."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration import tables
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.walk import GUESS, Choices

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
