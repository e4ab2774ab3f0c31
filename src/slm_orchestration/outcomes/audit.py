"""Agreement of two recordings of the same model on the same tasks."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from scipy.stats import hypergeom

from slm_orchestration.statistics.intervals import wilson


@dataclass(frozen=True)
class Agreement:
    """Shares of tasks with the same answer and the same quality, and the 95 % Wilson interval of the latter."""

    tasks: int
    same_answer: float
    same_quality: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"{self.tasks} tasks, {self.same_answer:.1%} with the same answer, {self.same_quality:.1%} with the same "
            f"quality (95 % interval {self.low:.1%} to {self.high:.1%})"
        )


def agreement(recorded: pd.DataFrame, again: pd.DataFrame) -> Agreement:
    """Return the agreement of two OUTCOMES tables. Raises ValueError unless their tasks are the same, in one order."""
    if recorded["task_id"].tolist() != again["task_id"].tolist():
        raise ValueError("agreement needs the same tasks in the same order on both sides")
    if recorded.empty:
        raise ValueError("agreement needs at least one task")
    answers = (recorded["answer"] == again["answer"]).mean()
    qualities = (recorded["quality"] == again["quality"]).mean()
    low, high = wilson(float(qualities), len(recorded), level=0.95)
    return Agreement(len(recorded), float(answers), float(qualities), low, high)


def tasks_with_changed_quality(recorded: pd.DataFrame, again: pd.DataFrame) -> list[str]:
    """Return the ids of tasks whose quality differs between two OUTCOMES tables of the same tasks in the same order."""
    return recorded["task_id"][(recorded["quality"] != again["quality"]).to_numpy()].tolist()


def detection_probability(rows: int, forged: int, sampled: int) -> float:
    """Return the probability that a random sample of the rows contains a forged one (hypergeometric)."""
    return float(1 - hypergeom.pmf(0, rows, forged, sampled))
