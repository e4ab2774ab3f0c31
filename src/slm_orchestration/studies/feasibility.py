"""How many tasks can small models keep? Every pair of recorded models, at calibrated 95 % retention."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration import tables
from slm_orchestration.routing.features import LatentSemantics, unit_length
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.studies.learning import cut_that_keeps
from slm_orchestration.tables import FEASIBILITY

Floats = NDArray[np.float64]
TARGET = 0.95
NEIGHBOURS = 50
_BLOCK = 512


def feasibility(outcomes: OutcomeMatrix, table: str, *, most_pairs: int, seed: int) -> pd.DataFrame:
    """Return FEASIBILITY of up to `most_pairs` pairs of models, chosen by a hash of their names.

    Strategies: random (the mixture of a pair), knn (mean quality of the 50 most similar fit tasks, per model), and
    oracle (which knows the advantage of each task). The small model is the one of less quality on all tasks.
    """
    mean = outcomes.quality.mean(axis=0)
    fit, calibration, evaluation = (
        np.flatnonzero(outcomes.tasks["split"].to_numpy() == split) for split in ("fit", "calibration", "evaluation")
    )
    asked = np.concatenate([calibration, evaluation])
    predicted = _predicted(outcomes, fit, asked, seed)
    noise = np.random.default_rng(seed).random(len(asked))
    rows = []
    for one, other in _pairs(outcomes.models, most_pairs):
        cheap, dear = sorted((one, other), key=lambda model: (mean[model], model))
        if not mean[dear] > mean[cheap]:
            continue
        quality = outcomes.quality[asked][:, [cheap, dear]]
        # Most advantages are equal, so the oracle may choose among them which to leave out.
        scores = {"random": noise, "oracle": quality[:, 1] - quality[:, 0] + 1e-9 * noise}
        if predicted is not None:
            scores["knn"] = predicted[:, dear] - predicted[:, cheap]
        for strategy, score in scores.items():
            rows.append(
                {"table": table, "small": outcomes.models[cheap], "large": outcomes.models[dear], "strategy": strategy}
                | _at_target(score, quality, len(calibration))
                | {"ratio": mean[cheap] / mean[dear], "tasks": len(evaluation)}
            )
    return tables.conform(pd.DataFrame(rows, columns=FEASIBILITY.names), FEASIBILITY)


def _at_target(score: Floats, quality: Floats, calibration: int) -> dict[str, float]:
    cut = cut_that_keeps(score[:calibration], quality[:calibration], TARGET)
    called, graded = score[calibration:] >= cut, quality[calibration:]
    kept = np.where(called, graded[:, 1], graded[:, 0]).mean()
    return {"small_share": float(1 - called.mean()), "retention": float(kept / graded[:, 1].mean())}


def _predicted(outcomes: OutcomeMatrix, fit: NDArray[np.intp], asked: NDArray[np.intp], seed: int) -> Floats | None:
    prompts = outcomes.tasks["question"]
    if prompts.isna().any():
        return None
    vectors = LatentSemantics(64, seed).fit(prompts.iloc[fit])
    known, points = (unit_length(vectors.transform(prompts.iloc[rows])) for rows in (fit, asked))
    near = min(NEIGHBOURS, len(fit))
    parts = []
    for start in range(0, len(asked), _BLOCK):
        similarity = points[start : start + _BLOCK] @ known.T
        chosen = np.argpartition(-similarity, near - 1, axis=1)[:, :near]
        parts.append(outcomes.quality[fit][chosen].mean(axis=1))
    return np.vstack(parts)


def _pairs(models: tuple[str, ...], most: int) -> list[tuple[int, int]]:
    def place(pair: tuple[int, int]) -> str:
        return hashlib.sha256("|".join(models[index] for index in pair).encode()).hexdigest()

    return sorted(sorted(combinations(range(len(models)), 2), key=place)[:most])
