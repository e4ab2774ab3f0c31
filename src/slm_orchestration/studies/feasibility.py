"""What share of tasks can the smaller of two models answer? Every pair of recorded models, at 95 % retention."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration import tables
from slm_orchestration.routing.features import LatentSemantics, unit_length
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.studies.learning import retention_cut
from slm_orchestration.tables import FEASIBILITY

Floats = NDArray[np.float64]
TARGET = 0.95
NEIGHBOURS = 50
_BLOCK = 512


def feasibility(outcomes: OutcomeMatrix, table: str, *, most_pairs: int, seed: int) -> pd.DataFrame:
    """Return FEASIBILITY of up to `most_pairs` pairs of models, chosen by a hash of their names.

    The small model of a pair is the one of less quality on all tasks. Strategies: random mixing, knn (mean quality of
    the 50 most similar fit tasks, per model), and oracle (knows the difference in quality on each task). The threshold
    is chosen on calibration tasks, shares are of evaluation tasks.
    """
    mean = outcomes.quality.mean(axis=0)
    fit, calibration, evaluation = (
        np.flatnonzero(outcomes.tasks["split"].to_numpy() == split) for split in ("fit", "calibration", "evaluation")
    )
    scored = np.concatenate([calibration, evaluation])
    predicted = _predicted(outcomes, fit, scored, seed)
    noise = np.random.default_rng(seed).random(len(scored))
    rows = []
    for one, other in _pairs(outcomes.models, most_pairs):
        small, large = sorted((one, other), key=lambda model: (mean[model], model))
        if not mean[large] > mean[small]:
            continue
        quality = outcomes.quality[scored][:, [small, large]]
        # Most differences in quality are equal; the noise breaks these ties at random.
        scores = {"random": noise, "oracle": quality[:, 1] - quality[:, 0] + 1e-9 * noise}
        if predicted is not None:
            scores["knn"] = predicted[:, large] - predicted[:, small]
        for strategy, score in scores.items():
            rows.append(
                {"table": table, "small": outcomes.models[small], "large": outcomes.models[large], "strategy": strategy}
                | _at_target(score, quality, len(calibration))
                | {"ratio": mean[small] / mean[large], "tasks": len(evaluation)}
            )
    return tables.conform(pd.DataFrame(rows, columns=FEASIBILITY.names), FEASIBILITY)


def _at_target(score: Floats, quality: Floats, calibration: int) -> dict[str, float]:
    cut = retention_cut(score[:calibration], quality[:calibration], TARGET)
    called, graded = score[calibration:] >= cut, quality[calibration:]
    kept = np.where(called, graded[:, 1], graded[:, 0]).mean()
    return {"small_share": float(1 - called.mean()), "retention": float(kept / graded[:, 1].mean())}


def _predicted(outcomes: OutcomeMatrix, fit: NDArray[np.intp], scored: NDArray[np.intp], seed: int) -> Floats | None:
    prompts = outcomes.prompts
    if prompts.isna().any():
        return None
    vectors = LatentSemantics(64, seed).fit(prompts.iloc[fit])
    known, points = (unit_length(vectors.transform(prompts.iloc[rows])) for rows in (fit, scored))
    count = min(NEIGHBOURS, len(fit))
    parts = []
    for start in range(0, len(scored), _BLOCK):
        similarity = points[start : start + _BLOCK] @ known.T
        chosen = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        parts.append(outcomes.quality[fit][chosen].mean(axis=1))
    return np.vstack(parts)


def _pairs(models: tuple[str, ...], most: int) -> list[tuple[int, int]]:
    def place(pair: tuple[int, int]) -> str:
        return hashlib.sha256("|".join(models[index] for index in pair).encode()).hexdigest()

    return sorted(sorted(combinations(range(len(models)), 2), key=place)[:most])
