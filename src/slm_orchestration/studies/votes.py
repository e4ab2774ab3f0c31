"""One answer out of several: votes, the surest of them, and checks that an answer must pass or be asked for again.

Sources: Wang et al. 2022, Self-Consistency (a majority over samples of one model); weights are calibrated confidences.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slm_orchestration.tasks.scoring.extraction import code_block, final_answer, json_value
from slm_orchestration.tasks.task import Task

_JSON, _CODE = ("json_equality", "function_call"), ("unit_tests",)


@dataclass(frozen=True)
class Candidate:
    """An answer and the calibrated probability that it is right."""

    answer: str
    confidence: float


Aggregate = Callable[[Task, Sequence[Candidate]], int]


def majority(task: Task, candidates: Sequence[Candidate]) -> int:
    """Return the place of the answer that most candidates give; of a tie, and of equal answers, the surest."""
    return _elected(task, candidates, [1.0] * len(candidates))


def weighted(task: Task, candidates: Sequence[Candidate]) -> int:
    """Return the place of the answer with the largest sum of confidences; of equal answers, the surest."""
    return _elected(task, candidates, [one.confidence for one in candidates])


def best(task: Task, candidates: Sequence[Candidate]) -> int:
    """Return the place of the surest answer; of a tie, the first."""
    return max(range(len(candidates)), key=lambda place: (candidates[place].confidence, -place))


def first(task: Task, candidates: Sequence[Candidate]) -> int:
    """Return the first place whose answer passes its check, else the last: cheapest first, escalated on failure."""
    return next((place for place, one in enumerate(candidates) if passes(task, one.answer)), len(candidates) - 1)


def passes(task: Task, answer: str) -> bool:
    """Return whether an answer has the form that the task asks for; its reference is not looked at.

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
    """Return what two answers must share to count as one vote: the final answer, or all of a longer form."""
    whole = task.choices is None and task.scorer in (*_JSON, *_CODE)
    return " ".join((code_block(answer) if whole else final_answer(answer)).casefold().split())


def _elected(task: Task, candidates: Sequence[Candidate], votes: Sequence[float]) -> int:
    if not candidates:
        raise ValueError(f"{task.task_id}: there is no answer to choose from")
    names = [same_answer(task, one.answer) for one in candidates]
    total: dict[str, float] = {}
    for name, vote in zip(names, votes, strict=True):
        total[name] = total.get(name, 0.0) + vote
    places = range(len(candidates))
    return max(places, key=lambda place: (total[names[place]], candidates[place].confidence, -place))


def _parses(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return True
