"""Agreement of two recordings of the same model on the same tasks."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from scipy.stats import binom, hypergeom

from slm_orchestration.statistics.intervals import wilson

AGREEMENT_COLUMNS = [
    *("model", "answers", "tasks", "same_answer", "same_quality", "low", "high", "quality", "other_quality"),
]


@dataclass(frozen=True)
class Agreement:
    """Shares of tasks with the same answer and the same quality, and the 95 % Wilson interval of the latter."""

    tasks: int
    same_answer: float
    same_quality: float
    low: float
    high: float

    def chance(self, expected: float) -> float:
        """Return the probability that so few tasks or fewer agree in quality, if each agrees with chance `expected`."""
        return float(binom.cdf(round(self.same_quality * self.tasks), self.tasks, expected))

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


def agreement_of_recordings(recorded: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
    """Return how often two OUTCOMES tables of the same models agree, on the tasks that both answered.

    One row per model and kind of answers (all, choice, free): model, answers, tasks, same_answer, same_quality with its
    95 % Wilson interval (low, high), and the mean quality of each table. Raises ValueError where they share no task.
    """
    rows = []
    for model in recorded["model"].unique():
        both = recorded[recorded["model"] == model].merge(
            again[again["model"] == model], on="task_id", suffixes=("", "_again")
        )
        both = both[both["quality"].notna() & both["quality_again"].notna()]
        if both.empty:
            raise ValueError(f"the two recordings share no task that {model} answered")
        choice = both["finish_reason"] == "choice"
        for answers, part in (("all", both), ("choice", both[choice]), ("free", both[~choice])):
            if part.empty:
                continue
            mean = {name: float(part[name].mean()) for name in ("quality", "quality_again")}
            same_answer = float((part["answer"] == part["answer_again"]).mean())
            same_quality = float((part["quality"] == part["quality_again"]).mean())
            low, high = wilson(same_quality, len(part), level=0.95)
            rows.append((model, answers, len(part), same_answer, same_quality, low, high, *mean.values()))
    return pd.DataFrame(rows, columns=AGREEMENT_COLUMNS)


def tasks_with_changed_quality(recorded: pd.DataFrame, again: pd.DataFrame) -> list[str]:
    """Return the ids of tasks whose quality differs between two OUTCOMES tables of the same tasks in the same order."""
    return recorded["task_id"][(recorded["quality"] != again["quality"]).to_numpy()].tolist()


def detection_probability(rows: int, forged: int, sampled: int) -> float:
    """Return the probability that a random sample of the rows contains a forged one (hypergeometric)."""
    return float(1 - hypergeom.pmf(0, rows, forged, sampled))
