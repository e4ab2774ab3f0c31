"""Equality of text, line by line. The reference is the text."""

from __future__ import annotations

from slm_orchestration.tasks.scoring.extraction import code_block
from slm_orchestration.tasks.task import Task


def score(task: Task, answer: str) -> float:
    """Return 1 if the answer's code block has the lines of the reference; trailing white space is ignored."""
    return float(_lines(code_block(answer)) == _lines(code_block(task.reference)))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]
