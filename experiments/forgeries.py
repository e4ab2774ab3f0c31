"""Measure how often an audit detects forged outcomes: forge some rows of a copy, draw samples, and count detections.

    python -m experiments.forgeries suite=quick

In each of 1,000 copies of the recorded outcomes, one row in a hundred gets another answer and the opposite quality. A
sample of rows detects the forgery if one of its rows differs from the recorded outcomes, which stand for the model, so
that no weights are needed. Prints the share of samples that detect it, and the exact probability (hypergeometric).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from experiments.setup.config import entry
from experiments.setup.inputs import chosen_models, load_tasks, random_sample
from slm_orchestration.outcomes.audit import detection_probability, tasks_with_changed_quality
from slm_orchestration.outcomes.store import read_outcomes

_SHARE, _SIZES, _DRAWS = 0.01, (50, 200, 1000), 1000


def main(cfg: DictConfig) -> None:
    """Print, for each model and sample size, how often forged rows are detected."""
    tasks = load_tasks(cfg)
    for node in chosen_models(cfg):
        honest = read_outcomes(Path(cfg.paths.outcomes), [node.name])
        honest = honest[honest["task_id"].isin({task.task_id for task in tasks})].reset_index(drop=True)
        for size in (size for size in _SIZES if size <= len(honest)):
            caught, forged = caught_share(honest, size=size, seed=cfg.seed)
            exact = detection_probability(len(honest), forged, size)
            print(
                f"{node.name}: {forged} of {len(honest)} rows forged, n={size}: caught {caught:.1%}, exact {exact:.1%}"
            )
        for size in (size for size in _SIZES if size > len(honest)):
            print(f"{node.name}: n={size} is more than the {len(honest)} recorded rows: every forged row is detected")


def caught_share(honest: pd.DataFrame, *, size: int, seed: int) -> tuple[float, int]:
    """Return the share of samples of `size` rows that contain a forged row, and how many rows were forged."""
    rng = np.random.default_rng(seed)
    caught = 0
    forged = max(1, round(_SHARE * len(honest)))
    for draw in range(_DRAWS):
        copy = forge(honest, rng.permutation(len(honest))[:forged])
        rows = random_sample(list(range(len(honest))), n=size, seed=seed + 1 + draw)
        caught += bool(tasks_with_changed_quality(copy.iloc[rows], honest.iloc[rows]))
    return caught / _DRAWS, forged


def forge(honest: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Return a copy whose `rows` have another answer of the opposite quality."""
    answers, quality = honest["answer"].to_numpy(copy=True), honest["quality"].to_numpy(copy=True)
    answers[rows] = "forged"
    quality[rows] = np.where(quality[rows] >= 0.5, 0.0, 1.0)
    return honest.assign(answer=answers, quality=quality)


if __name__ == "__main__":
    entry(main, "experiments.forgeries")
