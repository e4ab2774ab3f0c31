"""What do routers learn? Gains over random mixing, between and within datasets, over many splits of recorded tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from slm_orchestration import tables
from slm_orchestration.routing.access import fit_table, guarded
from slm_orchestration.routing.features import LatentSemantics, TaskAnalysis, Vectors, analyse, complexity
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.quality_model import QualityModel
from slm_orchestration.routing.router import Router, Tunable
from slm_orchestration.routing.routers.domain_table import DomainTableRouter
from slm_orchestration.routing.routers.knn import NearestTasksRouter
from slm_orchestration.routing.routers.matrix_factorization import MatrixFactorizationRouter
from slm_orchestration.routing.routers.regression import RegressionRouter
from slm_orchestration.statistics.sensitivity import overlap_corrected
from slm_orchestration.tables import LEARNED

Floats = NDArray[np.float64]
FOLDS = 5  # of datasets that are left out together
LABEL_FREE = ("random", "length", "heuristic")
TARGET = 0.95
PARTS = ("total", "between", "within")


@dataclass(frozen=True)
class Prompts:
    """What is known of the prompts of a table before any outcome: their vectors, and scores that need no label."""

    vectors: KnownVectors
    label_free: dict[str, Floats]


def prompts_of(outcomes: OutcomeMatrix, seed: int) -> Prompts:
    """Return the vectors and label-free scores of a table's prompts, which serve all of its pairs and splits."""
    prompts = outcomes.tasks["question"]
    label_free = {
        "random": np.random.default_rng([seed, 2]).random(len(outcomes)),
        "length": np.asarray(prompts.str.len(), dtype=np.float64),
        "heuristic": complexity(analyse(prompts)),
    }
    return Prompts(known_vectors(prompts, TaskAnalysis(LatentSemantics(64, seed))), label_free)


def learned(pair: OutcomeMatrix, prompts: Prompts, *, splits: int, most_fit: int, seed: int) -> pd.DataFrame:
    """Return LEARNED rows of one pair without its name: every strategy's gain and APGR over random splits of groups.

    A split has 30 % of the groups to fit, 20 % to tune on and to choose the score at which 95 % of the dear model's
    quality is kept, and 50 % to report. At most `most_fit` tasks are fitted on. Routers are also fitted and tuned
    without the datasets that they are then asked about, a fifth of them at a time. APGR is null unless the pair's gap
    in quality lies beyond 1.96 of its standard errors.
    """
    study = _study(pair, prompts, seed)
    determined = abs(study.advantage.mean()) > 1.96 * study.advantage.std() / np.sqrt(len(pair))
    rows, sizes = [], (0, 0)
    for number in range(splits):
        fit, calibration, evaluation = _parts(pair, np.random.default_rng([seed, number]))
        fit, sizes = fit[:most_fit], (min(len(fit), most_fit), len(evaluation))
        where = study.advantage[evaluation], study.dataset[evaluation]
        for name, left_out, score in _scores(study, fit, calibration, np.concatenate([calibration, evaluation])):
            cut = cut_that_keeps(score[: len(calibration)], pair.quality[calibration], TARGET)
            tail = score[len(calibration) :]
            measured = {
                "apgr": area_gain(tail, *where) if determined else Parts(np.nan, np.nan, np.nan),
                "gain": split_covariance(np.asarray(tail >= cut, dtype=np.float64), *where),
            }
            for metric, parts in measured.items():
                rows += [(name, left_out, metric, part, getattr(parts, part)) for part in PARTS]
    frame = pd.DataFrame(rows, columns=["strategy", "datasets_left_out", "metric", "part", "value"])
    return _summary(frame, sizes, datasets=study.datasets)


def routers(vectors: KnownVectors, seed: int) -> dict[str, Router]:
    """Return the fitted routers that are compared: those that take seconds, with one setting each."""
    return {
        "logistic": RegressionRouter(vectors, QualityModel((0.03,))),
        "knn": NearestTasksRouter(vectors, (20, 80, 160)),
        "matrix_factorization": MatrixFactorizationRouter(vectors, 4, 0.003, seed),
        "domain_table_predicted": DomainTableRouter(vectors),
    }


@dataclass(frozen=True)
class _Study:
    """A pair, what is known of its tasks, the scores that need no fitting, and the prompts as vectors."""

    pair: OutcomeMatrix
    dataset: NDArray[np.intp]
    advantage: Floats
    fixed: dict[str, Floats]
    vectors: KnownVectors
    seed: int

    @property
    def datasets(self) -> int:
        return int(self.dataset.max()) + 1


def _study(pair: OutcomeMatrix, prompts: Prompts, seed: int) -> _Study:
    advantage = pair.quality[:, 1] - pair.quality[:, 0]
    # Which of equal advantages come first is chance.
    fixed = prompts.label_free | {"oracle": advantage + 1e-9 * prompts.label_free["random"]}
    return _Study(pair, datasets_of(pair), advantage, fixed, prompts.vectors, seed)


def _scores(
    study: _Study, fit: NDArray[np.intp], calibration: NDArray[np.intp], asked: NDArray[np.intp]
) -> Iterator[tuple[str, bool, Floats]]:
    """Yield strategy, whether datasets were left out, and the score of each task of `asked`."""
    yield from ((name, False, score[asked]) for name, score in study.fixed.items())
    yield "domain_table_given", False, _means(study, fit)[study.dataset[asked]]
    fold = np.random.default_rng([study.seed, 1]).permutation(study.datasets) % FOLDS
    for name, router in routers(study.vectors, study.seed).items():
        yield name, False, _predicted(router, study.pair, (fit, calibration), asked)
        if study.datasets < FOLDS or name == "domain_table_predicted":
            continue
        score = np.empty(len(asked))
        for left_out in range(FOLDS):
            here = fold[study.dataset[asked]] == left_out
            if here.any():
                others = tuple(part[fold[study.dataset[part]] != left_out] for part in (fit, calibration))
                score[here] = _predicted(router, study.pair, others, asked[here])
        yield name, True, score


def _means(study: _Study, fit: NDArray[np.intp]) -> Floats:
    """Return each dataset's mean advantage on fit tasks, that of all of them where it has none."""
    advantage = study.advantage[fit]
    sums, counts = (
        np.bincount(study.dataset[fit], values, study.datasets) for values in (advantage, np.ones(len(fit)))
    )
    return np.divide(sums, counts, out=np.full(len(sums), advantage.mean()), where=counts > 0)


def _predicted(
    router: Router, pair: OutcomeMatrix, known: tuple[NDArray[np.intp], ...], asked: NDArray[np.intp]
) -> Floats:
    fit, calibration = (fit_table(pair.take(rows), router) for rows in known)
    router = router.fit(fit)
    if isinstance(router, Tunable):
        router = router.tune(calibration)
    quality = guarded(router, pair.take(asked))(())
    return quality[:, 1] - quality[:, 0]


def _parts(
    pair: OutcomeMatrix, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    codes, names = pd.factorize(pair.tasks["group"], sort=True)
    place = rng.permutation(len(names))[codes] / len(names)
    order = rng.permutation(len(codes))
    place = place[order]
    return order[place < 0.3], order[(place >= 0.3) & (place < 0.5)], order[place >= 0.5]


def _summary(frame: pd.DataFrame, sizes: tuple[int, int], *, datasets: int) -> pd.DataFrame:
    keys = ["strategy", "datasets_left_out", "metric", "part"]
    rows = []
    for key, values in frame.groupby(keys, sort=False)["value"]:
        low, high = overlap_corrected(values.to_numpy(), fitted=sizes[0], tested=sizes[1], level=0.95)
        # Where one split has no gap to recover, there is no mean over splits.
        rows.append((*key, values.mean(skipna=False), low, high))  # type: ignore[misc]
    result = pd.DataFrame(rows, columns=[*keys, "estimate", "low", "high"])
    result["needs_labels"] = ~result["strategy"].isin(LABEL_FREE)
    return result.assign(splits=len(frame) // len(result), tasks=sizes[1], datasets=datasets)


def conformed(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of several pairs as LEARNED."""
    return tables.conform(pd.concat(frames, ignore_index=True)[LEARNED.names], LEARNED)


# ========== Pairs of models from recorded outcomes: what a score of tasks gains, and whether it knows datasets or tasks.
#
# For a pair and a share p of calls to the dear model, mixing at random gives q_S + p·(q_L - q_S). A strategy that calls
# it on the tasks a_i = 1 gains the covariance of a and of the dear model's advantage g over tasks. A covariance is that
# of the datasets' means plus the mean covariance within datasets, so the gain is the sum of what comes from telling
# datasets apart and what comes from telling tasks of one dataset apart. The area APGR, less the 0.5 of random routing, is
# the same covariance with a task's rank in place of a, over the mean of g.
#
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
