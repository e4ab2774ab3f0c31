"""Pairs of models from recorded outcomes: what a score of tasks gains, and whether it knows datasets or tasks.

For a pair and a share p of calls to the dear model, mixing at random gives q_S + p·(q_L - q_S). A strategy that calls
it on the tasks a_i = 1 gains the covariance of a and of the dear model's advantage g over tasks. A covariance is that
of the datasets' means plus the mean covariance within datasets, so the gain is the sum of what comes from telling
datasets apart and what comes from telling tasks of one dataset apart. The area APGR, less the 0.5 of random routing, is
the same covariance with a task's rank in place of a, over the mean of g.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.prompt_vectors import Vectors

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """A gain, and what of it lies between and within datasets: total = between + within."""

    total: float
    between: float
    within: float


@dataclass
class KnownVectors:
    """Vectors worked out beforehand, looked up by prompt; they were made from prompts alone, never from outcomes."""

    rows: dict[str, int]
    points: Floats

    def fit(self, prompts: pd.Series) -> Self:
        """Learn nothing."""
        return self

    def transform(self, prompts: pd.Series) -> Floats:
        """Return prompts × dimensions."""
        return self.points[[self.rows[prompt] for prompt in prompts]]


def known_vectors(prompts: pd.Series, vectors: Vectors) -> KnownVectors:
    """Return `vectors` fitted on all prompts and kept for each: what each split would otherwise do again."""
    distinct = pd.Series(prompts.unique())
    return KnownVectors(
        dict(zip(distinct, range(len(distinct)), strict=True)), vectors.fit(distinct).transform(distinct)
    )


def pair_of(outcomes: OutcomeMatrix, cheap: int, dear: int) -> OutcomeMatrix:
    """Return the outcomes of two models of a pool, counted in calls to the dear one."""
    chosen, width = [cheap, dear], len(outcomes.models)
    rows = (np.arange(len(outcomes))[:, None] * width + chosen).ravel()
    models = tuple(outcomes.models[index] for index in chosen)
    return replace(
        outcomes,
        models=models,
        small=frozenset(models[:1]),
        quality=outcomes.quality[:, chosen],
        cost_usd=np.tile([0.0, 1.0], (len(outcomes), 1)),
        latency_s=outcomes.latency_s[:, chosen],
        device_s=outcomes.device_s[:, chosen],
        answers=outcomes.answers.iloc[rows].reset_index(drop=True),
        cost_unit="calls",
    )


def datasets_of(outcomes: OutcomeMatrix) -> NDArray[np.intp]:
    """Return each task's dataset as a code; a dataset's domains (MMLU's subjects) count as datasets of their own."""
    names = outcomes.tasks["dataset"].astype(str) + "/" + outcomes.tasks["domain"].astype(str)
    return pd.factorize(names, sort=True)[0]


def split_covariance(called: Floats, advantage: Floats, dataset: NDArray[np.intp]) -> Parts:
    """Return the covariance of two values over tasks, and its parts between and within datasets."""
    sizes = np.bincount(dataset).astype(float)
    occupied = sizes > 0
    means = [np.bincount(dataset, values)[occupied] / sizes[occupied] for values in (called, advantage)]
    total = float(np.mean((called - called.mean()) * (advantage - advantage.mean())))
    between = float(np.average((means[0] - called.mean()) * (means[1] - advantage.mean()), weights=sizes[occupied]))
    return Parts(total, between, total - between)


def area_gain(score: Floats, advantage: Floats, dataset: NDArray[np.intp]) -> Parts:
    """Return APGR - 0.5 in parts, the highest score called first; nan where the models are equally good."""
    gap = float(advantage.mean())
    if gap == 0:
        return Parts(np.nan, np.nan, np.nan)
    # Ties are joined by a straight line, so each of them is called, on average, at the middle of its tie.
    rank = (stats.rankdata(score) - 0.5) / len(score)
    found = split_covariance(rank, advantage, dataset)
    return Parts(found.total / gap, found.between / gap, found.within / gap)


def cut_that_keeps(score: Floats, quality: Floats, target: float) -> float:
    """Return the highest score at and above which calling the dear model keeps `target` of its quality.

    `quality` is tasks × (cheap, dear). Infinite where calling it on no task is enough.
    """
    order = np.argsort(-score, kind="stable")
    gained = np.append(0.0, np.cumsum((quality[:, 1] - quality[:, 0])[order])) / len(score)
    last_of_tie = np.append(True, np.append(np.diff(score[order]) != 0, True))
    kept = (quality[:, 0].mean() + gained >= target * quality[:, 1].mean() - 1e-12) & last_of_tie
    first = int(kept.argmax()) if kept.any() else len(score)
    return float("inf") if first == 0 else float(score[order][first - 1])
