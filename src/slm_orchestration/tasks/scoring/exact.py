"""Equality of normalised text. The reference is a JSON list of accepted answers."""

from __future__ import annotations

import json

from slm_orchestration.tasks.scoring.extraction import final_answer, normalised
from slm_orchestration.tasks.task import Task


def score(task: Task, answer: str) -> float:
    """Return 1 if the final answer, or the whole answer, equals an accepted one after normalisation."""
    accepted = {normalised(text) for text in json.loads(task.reference)}
    return float(bool({normalised(final_answer(answer)), normalised(answer)} & accepted))
