"""One answer out of several: by majority, by weighted votes, by confidence, or the first that passes a check of form.

Source: Wang et al. 2022, Self-Consistency (a majority over samples of one model). Weights are calibrated confidences.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.tasks.scoring.extraction import code_block, final_answer, json_value
from slm_orchestration.tasks.task import Task

_JSON, _CODE = ("json_equality", "function_call"), ("unit_tests",)


@dataclass(frozen=True)
class CandidateAnswer:
    """An answer and the calibrated probability that it is right."""

    answer: str
    confidence: float


Aggregate = Callable[[Task, Sequence[CandidateAnswer]], int]


def majority(task: Task, candidates: Sequence[CandidateAnswer]) -> int:
    """Return the index of the answer that most candidates give; ties and equal answers by confidence."""
    return _winner(task, candidates, [1.0] * len(candidates))


def weighted(task: Task, candidates: Sequence[CandidateAnswer]) -> int:
    """Return the index of the answer with the largest sum of confidences; of equal answers, the most confident."""
    return _winner(task, candidates, [one.confidence for one in candidates])


def best(task: Task, candidates: Sequence[CandidateAnswer]) -> int:
    """Return the index of the most confident answer; of a tie, the first."""
    return max(range(len(candidates)), key=lambda index: (candidates[index].confidence, -index))


def first(task: Task, candidates: Sequence[CandidateAnswer]) -> int:
    """Return the index of the first answer that passes its check, else the last (candidates are cheapest first)."""
    return next((index for index, one in enumerate(candidates) if passes(task, one.answer)), len(candidates) - 1)


def passes(task: Task, answer: str) -> bool:
    """Return whether an answer has the form that the task asks for; the reference is not used.

    A choice must be one of the labels, JSON and calls must parse, code must be Python, any other answer must not be
    empty.
    """
    if task.choices is not None:
        return final_answer(answer).casefold() in {label.casefold() for label in task.choices}
    if task.scorer == "json_equality":
        return _parses(json_value, answer)
    if task.scorer == "function_call":
        return _parses(lambda text: ast.parse(text.strip(), mode="eval"), code_block(answer))
    if task.scorer == "unit_tests":
        return _parses(ast.parse, code_block(answer))
    return bool(answer.strip())


def same_answer(task: Task, answer: str) -> str:
    """Return the text by which votes are counted: the whole of JSON, calls and code, else the final answer."""
    whole = task.choices is None and task.scorer in (*_JSON, *_CODE)
    return " ".join((code_block(answer) if whole else final_answer(answer)).casefold().split())


@dataclass(frozen=True)
class MethodOutcomes:
    """What one method gives and takes on each task, a call after the other."""

    quality: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    latency_s: NDArray[np.float64]


def single_model(outcomes: OutcomeMatrix, model: int) -> MethodOutcomes:
    """Return what one model gives by itself."""
    return MethodOutcomes(outcomes.quality[:, model], outcomes.cost_usd[:, model], outcomes.latency_s[:, model])


def aggregated(
    method: Aggregate, tasks: Sequence[Task], outcomes: OutcomeMatrix, voters: Sequence[int]
) -> MethodOutcomes:
    """Return what a method makes of the voters' recorded answers; a vote pays for every voter.

    `first` pays for the models up to the first answer that passes its check.
    """
    width = len(outcomes.models)
    answers = outcomes.answers["answer"].to_numpy().reshape(-1, width)[:, list(voters)]
    confidence = outcomes.answers["confidence"].to_numpy(float).reshape(-1, width)[:, list(voters)]
    chosen = np.array(
        [
            method(task, [CandidateAnswer(str(answer), sure) for answer, sure in zip(texts, given, strict=True)])
            for task, texts, given in zip(tasks, answers, confidence, strict=True)
        ]
    )
    last_called = chosen if method is first else np.full(len(tasks), len(voters) - 1)
    called = np.arange(len(voters)) <= last_called[:, None]
    cost_usd, latency_s = (
        np.where(called, paid[:, list(voters)], 0.0).sum(axis=1) for paid in (outcomes.cost_usd, outcomes.latency_s)
    )
    return MethodOutcomes(outcomes.quality[:, list(voters)][np.arange(len(tasks)), chosen], cost_usd, latency_s)


def method_table(
    methods: Mapping[str, MethodOutcomes], outcomes: OutcomeMatrix, *, resamples: int, seed: int
) -> pd.DataFrame:
    """Return the means of each method, with 95 % intervals of its quality.

    `against`, `from` and `to` are the paired difference in quality to the most expensive model and its interval.
    """
    groups = outcomes.tasks["group"].to_numpy()
    most_expensive = outcomes.quality[:, -1]
    rows = []
    for name, method in methods.items():
        quality, difference = (
            cluster_interval(values, groups, resamples=resamples, seed=seed)
            for values in (method.quality, method.quality - most_expensive)
        )
        rows.append(
            {
                **{"method": name, "quality": method.quality.mean(), "low": quality[0], "high": quality[1]},
                **{"against": (method.quality - most_expensive).mean(), "from": difference[0], "to": difference[1]},
                **{"cost_usd": method.cost_usd.mean(), "latency_s": method.latency_s.mean()},
            }
        )
    return pd.DataFrame(rows)


def cluster_interval(values: NDArray[np.float64], groups: NDArray, *, resamples: int, seed: int) -> tuple[float, float]:
    """Return the 95 % percentile interval of a mean, by a bootstrap over groups; constant values have no spread."""
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


def _winner(task: Task, candidates: Sequence[CandidateAnswer], votes: Sequence[float]) -> int:
    if not candidates:
        raise ValueError(f"{task.task_id}: there is no answer to choose from")
    names = [same_answer(task, one.answer) for one in candidates]
    total: dict[str, float] = {}
    for name, vote in zip(names, votes, strict=True):
        total[name] = total.get(name, 0.0) + vote
    indices = range(len(candidates))
    return max(indices, key=lambda index: (total[names[index]], candidates[index].confidence, -index))


def _parses(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return True
