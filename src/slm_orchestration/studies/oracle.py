"""How much of the oracle is luck? Chosen on some drawn answers of each task, scored on others (cross-fitted).

The oracle takes, per task, the model of the best recorded answer. Where a model is right on one draw and wrong on the
next, part of that is luck, which no router can predict. A model chosen on one half of the draws and scored on the other
half has none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from slm_orchestration.statistics.paired_tests import standard_error
from slm_orchestration.statistics.resampling import Design
from slm_orchestration.statistics.strategy_matrix import constant

Floats = NDArray[np.float64]

SAME_DRAWS, OTHER_DRAWS, LUCK = "oracle, same draws", "oracle, cross-fitted", "luck"


@dataclass(frozen=True)
class DrawnQuality:
    """Quality of drawn answers, tasks × draws by model, cheapest first.

    A model whose answers were not drawn has the quality of its one greedy answer in every column.
    """

    task_ids: tuple[str, ...]
    by_model: Mapping[str, Floats]

    def stacked(self) -> Floats:
        """Return models × tasks × draws."""
        return np.stack(list(self.by_model.values()))


def drawn_quality(quality: pd.DataFrame, samples: Mapping[str, pd.DataFrame]) -> DrawnQuality:
    """Return the draws of each column (model) of `quality` (greedy, by task_id) on the tasks that were sampled.

    `samples` are SAMPLES by model. Raises ValueError where two models were sampled on no common task, or on fewer than
    two draws.
    """
    wide = {model: table.pivot(index="task_id", columns="repeat", values="quality") for model, table in samples.items()}
    draws = min((len(table.columns) for table in wide.values()), default=0)
    tasks = quality.index
    for table in wide.values():
        tasks = tasks.intersection(table.dropna().index)
    if draws < 2 or tasks.empty:
        raise ValueError("a cross-fitted oracle needs at least two drawn answers of a model on the tasks at hand")
    found = {
        str(model): wide[model].loc[tasks].to_numpy(float)[:, :draws]
        if model in wide
        else np.repeat(quality.loc[tasks, [model]].to_numpy(float), draws, axis=1)
        for model in quality
    }
    return DrawnQuality(tuple(tasks), found)


def oracles(quality: DrawnQuality) -> tuple[Floats, Floats]:
    """Return per task the oracle's quality on the draws that it chose on, and on the others, over all halvings.

    Of an odd number of draws, the smaller part chooses in half of the cases. Ties go to the cheaper model.
    """
    values = quality.stacked()
    draws = values.shape[2]
    halves = {frozenset(part) for size in {draws // 2, draws - draws // 2} for part in combinations(range(draws), size)}
    same, other = [], []
    for half in sorted(halves, key=sorted):
        chosen_on = sorted(half)
        scored_on = sorted(set(range(draws)) - half)
        seen = values[:, :, chosen_on].mean(axis=2)
        best, tasks = seen.argmax(axis=0), np.arange(values.shape[1])
        same.append(seen[best, tasks])
        other.append(values[:, :, scored_on].mean(axis=2)[best, tasks])
    return np.mean(same, axis=0), np.mean(other, axis=0)


def oracle_table(quality: DrawnQuality, design: Design, *, level: float) -> pd.DataFrame:
    """Return mean quality of each model, of both oracles and of their difference, with t intervals over groups."""
    same, other = oracles(quality)
    rows = {constant(model): values.mean(axis=1) for model, values in quality.by_model.items()}
    rows |= {SAME_DRAWS: same, OTHER_DRAWS: other, LUCK: same - other}
    values = np.column_stack(list(rows.values()))
    error, groups = standard_error(values, design)
    half = special.stdtrit(groups - 1, (1 + level) / 2) * error
    mean = values.mean(axis=0)
    frame = pd.DataFrame({"strategy": list(rows), "quality": mean, "low": mean - half, "high": mean + half})
    return frame.assign(tasks=len(values))
