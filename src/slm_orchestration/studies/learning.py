"""What do routers learn? Gains over random mixing, between and within datasets, over many splits of recorded tasks.

For a pair of models and a share p of calls to the more expensive one, random mixing gives q_S + p·(q_L - q_S). A
strategy that calls it on the tasks with a_i = 1 gains the covariance over tasks of a and of the advantage g of the more
expensive model. A covariance is that of the datasets' means plus the mean covariance within datasets, so the gain is
the sum of a part from telling datasets apart and a part from telling the tasks of one dataset apart. APGR less the 0.5
of random routing is the same covariance with a task's rank in place of a, over the mean of g.
"""

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
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.router import Router, Tunable
from slm_orchestration.routing.routers.domain_table import DomainTableRouter
from slm_orchestration.routing.routers.knn import NearestTasksRouter
from slm_orchestration.routing.routers.matrix_factorization import MatrixFactorizationRouter
from slm_orchestration.routing.routers.regression import RegressionRouter
from slm_orchestration.statistics.sensitivity import overlap_corrected
from slm_orchestration.studies.refits import SHARES, resplit
from slm_orchestration.tables import LEARNED

Floats = NDArray[np.float64]
FOLDS = 5  # datasets are left out a fifth at a time
LABEL_FREE = ("random", "length", "heuristic")
TARGET = 0.95
PARTS = ("total", "between", "within")


@dataclass(frozen=True)
class PromptFeatures:
    """What the prompts of a table give without outcomes: their vectors, and scores that need no label."""

    vectors: PrecomputedVectors
    label_free: dict[str, Floats]


def prompt_features(outcomes: OutcomeMatrix, seed: int) -> PromptFeatures:
    """Return the vectors and label-free scores of a table's prompts, which serve all of its pairs and splits."""
    prompts = outcomes.prompts
    label_free = {
        "random": np.random.default_rng([seed, 2]).random(len(outcomes)),
        "length": np.asarray(prompts.str.len(), dtype=np.float64),
        "heuristic": complexity(analyse(prompts)),
    }
    return PromptFeatures(precomputed_vectors(prompts, TaskAnalysis(LatentSemantics(64, seed))), label_free)


def learned(pair: OutcomeMatrix, prompts: PromptFeatures, *, splits: int, most_fit: int, seed: int) -> pd.DataFrame:
    """Return LEARNED rows of one pair without its name: every strategy's gain and APGR over random splits of groups.

    A split has 30 % of the groups to fit, 20 % to tune and to choose the score at which 95 % of the more expensive
    model's quality is kept, and 50 % to report. At most `most_fit` tasks are fitted on. Routers are also fitted and
    tuned without the datasets that they then score, a fifth of them at a time. APGR is null unless the pair's gap in
    quality is more than 1.96 of its standard errors.
    """
    study = _study(pair, prompts, seed)
    determined = abs(study.advantage.mean()) > 1.96 * study.advantage.std() / np.sqrt(len(pair))
    rows, sizes = [], (0, 0)
    for number in range(splits):
        fit, calibration, evaluation = _parts(pair, np.random.default_rng([seed, number]))
        fit, sizes = fit[:most_fit], (min(len(fit), most_fit), len(evaluation))
        truth = study.advantage[evaluation], study.dataset[evaluation]
        for name, left_out, score in _scores(study, fit, calibration, np.concatenate([calibration, evaluation])):
            cut = retention_cut(score[: len(calibration)], pair.quality[calibration], TARGET)
            reported = score[len(calibration) :]
            measured = {
                "apgr": area_gain(reported, *truth) if determined else GainParts(np.nan, np.nan, np.nan),
                "gain": split_covariance(np.asarray(reported >= cut, dtype=np.float64), *truth),
            }
            for metric, parts in measured.items():
                rows += [(name, left_out, metric, part, getattr(parts, part)) for part in PARTS]
    frame = pd.DataFrame(rows, columns=["strategy", "datasets_left_out", "metric", "part", "value"])
    return _summary(frame, sizes, datasets=study.datasets)


def routers(vectors: PrecomputedVectors, seed: int) -> dict[str, Router]:
    """Return the routers that are compared: those that take seconds to fit, with one setting each."""
    return {
        "logistic": RegressionRouter(vectors, LogisticQuality((0.03,))),
        "knn": NearestTasksRouter(vectors, (20, 80, 160)),
        "matrix_factorization": MatrixFactorizationRouter(vectors, 4, 0.003, seed),
        "domain_table_predicted": DomainTableRouter(vectors),
    }


def learned_table(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of several pairs as LEARNED."""
    return tables.conform(pd.concat(frames, ignore_index=True)[LEARNED.names], LEARNED)


@dataclass(frozen=True)
class GainParts:
    """A gain and its parts between and within datasets: total = between + within."""

    total: float
    between: float
    within: float


@dataclass
class PrecomputedVectors:
    """Vectors computed once from prompts alone, looked up by prompt."""

    rows: dict[str, int]
    points: Floats

    def fit(self, prompts: pd.Series) -> Self:
        """Return self: nothing is fitted."""
        return self

    def transform(self, prompts: pd.Series) -> Floats:
        """Return prompts × dimensions."""
        return self.points[[self.rows[prompt] for prompt in prompts]]


def precomputed_vectors(prompts: pd.Series, vectors: Vectors) -> PrecomputedVectors:
    """Return the vectors of all prompts, fitted once on all of them and used in every split."""
    distinct = pd.Series(prompts.unique())
    return PrecomputedVectors(
        dict(zip(distinct, range(len(distinct)), strict=True)), vectors.fit(distinct).transform(distinct)
    )


def model_pair(outcomes: OutcomeMatrix, cheap: int, expensive: int) -> OutcomeMatrix:
    """Return the outcomes of two models of a pool, with costs counted in calls to the more expensive one."""
    chosen, width = [cheap, expensive], len(outcomes.models)
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


def dataset_codes(outcomes: OutcomeMatrix) -> NDArray[np.intp]:
    """Return each task's dataset as an integer; a dataset's domains (MMLU's subjects) count as datasets."""
    names = outcomes.tasks["dataset"].astype(str) + "/" + outcomes.tasks["domain"].astype(str)
    return pd.factorize(names, sort=True)[0]


def split_covariance(called: Floats, advantage: Floats, dataset: NDArray[np.intp]) -> GainParts:
    """Return the covariance of two values over tasks, and its parts between and within datasets."""
    sizes = np.bincount(dataset).astype(float)
    occupied = sizes > 0
    means = [np.bincount(dataset, values)[occupied] / sizes[occupied] for values in (called, advantage)]
    total = float(np.mean((called - called.mean()) * (advantage - advantage.mean())))
    between = float(np.average((means[0] - called.mean()) * (means[1] - advantage.mean()), weights=sizes[occupied]))
    return GainParts(total, between, total - between)


def area_gain(score: Floats, advantage: Floats, dataset: NDArray[np.intp]) -> GainParts:
    """Return APGR - 0.5 in parts, calling the highest score first; NaN where the models are equally good."""
    gap = float(advantage.mean())
    if gap == 0:
        return GainParts(np.nan, np.nan, np.nan)
    # The curve is a straight line across a tie, so its tasks have the mean rank of the tie.
    rank = (stats.rankdata(score) - 0.5) / len(score)
    found = split_covariance(rank, advantage, dataset)
    return GainParts(found.total / gap, found.between / gap, found.within / gap)


def retention_cut(score: Floats, quality: Floats, target: float) -> float:
    """Return the largest cut such that calling the more expensive model at scores >= cut keeps `target` of its quality.

    `quality` is tasks × (cheap, expensive). Infinite where the cheap model alone keeps that much.
    """
    order = np.argsort(-score, kind="stable")
    gained = np.append(0.0, np.cumsum((quality[:, 1] - quality[:, 0])[order])) / len(score)
    last_of_tie = np.append(True, np.append(np.diff(score[order]) != 0, True))
    kept = (quality[:, 0].mean() + gained >= target * quality[:, 1].mean() - 1e-12) & last_of_tie
    first = int(kept.argmax()) if kept.any() else len(score)
    return float("inf") if first == 0 else float(score[order][first - 1])


@dataclass(frozen=True)
class _Study:
    """A pair of models, its tasks' datasets and advantages, the scores that need no fit, and the prompts' vectors."""

    pair: OutcomeMatrix
    dataset: NDArray[np.intp]
    advantage: Floats
    fixed: dict[str, Floats]
    vectors: PrecomputedVectors
    seed: int

    @property
    def datasets(self) -> int:
        return int(self.dataset.max()) + 1


def _study(pair: OutcomeMatrix, prompts: PromptFeatures, seed: int) -> _Study:
    advantage = pair.quality[:, 1] - pair.quality[:, 0]
    # Which of equal advantages come first is chance.
    fixed = prompts.label_free | {"oracle": advantage + 1e-9 * prompts.label_free["random"]}
    return _Study(pair, dataset_codes(pair), advantage, fixed, prompts.vectors, seed)


def _scores(
    study: _Study, fit: NDArray[np.intp], calibration: NDArray[np.intp], scored: NDArray[np.intp]
) -> Iterator[tuple[str, bool, Floats]]:
    """Yield strategy, whether datasets were left out, and the score of each task in `scored`."""
    yield from ((name, False, score[scored]) for name, score in study.fixed.items())
    yield "domain_table_given", False, _means(study, fit)[study.dataset[scored]]
    fold = np.random.default_rng([study.seed, 1]).permutation(study.datasets) % FOLDS
    for name, router in routers(study.vectors, study.seed).items():
        yield name, False, _predicted(router, study.pair, (fit, calibration), scored)
        if study.datasets < FOLDS or name == "domain_table_predicted":
            continue
        score = np.empty(len(scored))
        for left_out in range(FOLDS):
            here = fold[study.dataset[scored]] == left_out
            if here.any():
                others = tuple(part[fold[study.dataset[part]] != left_out] for part in (fit, calibration))
                score[here] = _predicted(router, study.pair, others, scored[here])
        yield name, True, score


def _means(study: _Study, fit: NDArray[np.intp]) -> Floats:
    """Return each dataset's mean advantage on fit tasks; the mean over all of them where it has none."""
    advantage = study.advantage[fit]
    sums, counts = (
        np.bincount(study.dataset[fit], values, study.datasets) for values in (advantage, np.ones(len(fit)))
    )
    return np.divide(sums, counts, out=np.full(len(sums), advantage.mean()), where=counts > 0)


def _predicted(
    router: Router, pair: OutcomeMatrix, known: tuple[NDArray[np.intp], ...], scored: NDArray[np.intp]
) -> Floats:
    fit, calibration = (fit_table(pair.take(rows), router) for rows in known)
    router = router.fit(fit)
    if isinstance(router, Tunable):
        router = router.tune(calibration)
    quality = guarded(router, pair.take(scored))(())
    return quality[:, 1] - quality[:, 0]


def _parts(
    pair: OutcomeMatrix, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of fit, calibration and evaluation tasks of a random split of groups, in random order."""
    split = resplit(pair, rng).tasks["split"].to_numpy()
    order = rng.permutation(len(pair))
    fit, calibration, evaluation = (order[split[order] == name] for name in SHARES)
    return fit, calibration, evaluation


def _summary(frame: pd.DataFrame, sizes: tuple[int, int], *, datasets: int) -> pd.DataFrame:
    keys = ["strategy", "datasets_left_out", "metric", "part"]
    rows = []
    for key, values in frame.groupby(keys, sort=False)["value"]:
        low, high = overlap_corrected(values.to_numpy(), fitted=sizes[0], tested=sizes[1], level=0.95)
        # Without a quality gap in one split, its value is NaN, and so is the mean over splits.
        rows.append((*key, values.mean(skipna=False), low, high))  # type: ignore[misc]
    result = pd.DataFrame(rows, columns=[*keys, "estimate", "low", "high"])
    result["needs_labels"] = ~result["strategy"].isin(LABEL_FREE)
    return result.assign(splits=len(frame) // len(result), tasks=sizes[1], datasets=datasets)
