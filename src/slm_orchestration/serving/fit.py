"""Fit what an orchestrator needs before its first request on recorded outcomes, once in a process.

That is the router with its threshold, the calibration of confidences, the expected cost and latency of each call, and a
classifier of domains: seconds of work at the start of each process.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from slm_orchestration import artifacts, tables
from slm_orchestration.models.model import Completion
from slm_orchestration.models.prices import read_prices, usd_per_second
from slm_orchestration.outcomes.confidence import Calibration, calibrate_confidence, fit_calibration
from slm_orchestration.outcomes.latency import Expectation, fit_expectation, price_outcomes, read_profile
from slm_orchestration.outcomes.side_tables import SampleSettings
from slm_orchestration.outcomes.store import outcomes_path, read_outcomes
from slm_orchestration.routing.features import LatentSemantics, TaskAnalysis, Vectors, analyse, complexity
from slm_orchestration.routing.labels import LabelCalibration, as_rows, calibrated_labels, fit_labels, has_probabilities
from slm_orchestration.routing.operating_point import operating_point_for
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, outcome_matrix
from slm_orchestration.routing.replay import Overhead, overhead, read_overhead, replay
from slm_orchestration.routing.strategy import FittedRoutedStrategy, RoutedStrategy
from slm_orchestration.serving.cache.certificate import Certificate, FalseHitBudget, certify_on
from slm_orchestration.serving.pool import REPOSITORY, Pool, load_strategy, packaged_suite
from slm_orchestration.serving.sampling import with_recorded_samples
from slm_orchestration.serving.settings import OrchestratorSettings
from slm_orchestration.tasks.suite import build_suite
from slm_orchestration.tasks.task import Task, from_table, request_views, to_table

_LOG = logging.getLogger(__name__)
_GRID = np.linspace(0, 1, 41)
_FITTED: dict[str, FittedRouting] = {}


@dataclass(frozen=True)
class FittedRouting:
    """A fitted strategy with its threshold, and what it needs to run live.

    `rule` names the strategy, the threshold and why it was chosen. `router_usd_per_s` is the price of the router's
    own time. `semantic_cache` is the certificate of semantic hits, None where only exact ones are asked for.
    `sample_settings` holds how answers are sampled, for each model whose samples the router reads. `labels` corrects
    choices; without it they stay as the models gave them.
    """

    strategy: FittedRoutedStrategy
    threshold: float
    rule: str
    models: tuple[str, ...]
    small: frozenset[str]
    calibration: Calibration
    expectation: Expectation
    domain_classifier: DomainClassifier
    router_usd_per_s: float
    semantic_cache: Certificate | None
    sample_settings: Mapping[str, SampleSettings]
    labels: LabelCalibration | None = None

    def corrected(self, model: int, task: Task, prompt: str, completion: Completion) -> Completion:
        """Return a completion with its choice corrected, as replay corrects it.

        A free answer stays as it is, and a choice without the probabilities of its labels.
        """
        if self.labels is None or task.choices is None or not has_probabilities(completion.signals, task.choices):
            return completion
        answer, signals = self.labels.answer(self.models[model], prompt, completion.signals, tuple(task.choices))
        return dataclasses.replace(completion, answer=answer, signals=signals)


@dataclass(frozen=True)
class Records:
    """Paths of the recorded outcomes, their tasks, the latency profile, the routers' overheads and the prices."""

    outcomes: Path
    tasks: Path
    profile: Path
    overhead: Path
    prices: Path


def records(outcomes: Path | None, tasks: Path | None) -> Records:
    """Return the paths of the recorded tables; by default those of the committed outcomes of the standard suite.

    The profiles lie beside the folder of outcomes; seconds and dollars are those of this machine if it was measured
    there, else of the one that the packaged pool was measured on. The tasks of a packaged suite are built if their
    table does not exist yet. Raises ValueError naming what is missing otherwise.
    """
    folder = Path(outcomes) if outcomes is not None else REPOSITORY / "data" / "outcomes" / "standard"
    path = Path(tasks) if tasks is not None else REPOSITORY / "data" / "tasks" / f"{folder.name}.parquet"
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: no such folder of outcomes; give `outcomes=` a folder that experiments.collect made"
        )
    if not path.is_file():
        _build_tasks(path, folder.name, packaged=outcomes is None and tasks is None)
    measured = folder.parent / "profiles" / "this_machine.csv"
    profile = measured if measured.is_file() else measured.with_name("cpu_2vcpu.csv")
    return Records(folder, path, profile, folder.parent / "router_overhead.csv", REPOSITORY / "data" / "prices.csv")


def fit_once(pool: Pool, where: Records, settings: OrchestratorSettings) -> FittedRouting:
    """Return the fit of this process on the same tables with the same settings, or fit now.

    Nothing fitted is kept on disk: it would have to be a pickle, and opening one runs whatever code was put into it.
    """
    key = _key(pool, where, settings)
    if key not in _FITTED:
        _FITTED.clear()  # what was fitted before is rarely asked for again, and takes up to 100 MB
        _FITTED[key] = fit(pool, where, settings)
    return _FITTED[key]


def fit(pool: Pool, where: Records, settings: OrchestratorSettings) -> FittedRouting:
    """Fit router, confidence, expectations and domains on fit tasks; choose the threshold on calibration tasks.

    Raises ValueError if the strategy has no router, or if what its router reads is not recorded.
    """
    table = tables.read(where.tasks, tables.TASKS)
    prices, profile = read_prices(where.prices), read_profile(where.profile)
    raw = price_outcomes(read_outcomes(where.outcomes, pool.names), profile, prices)
    raw = raw[raw["task_id"].isin(table["task_id"])]
    about = table[["task_id", "domain", "dataset", "group", "split", "question", "choices", "reference"]]
    rows = about.reset_index(drop=True).join(request_views(table["messages"])).assign(guess_quality=0.0)
    outcomes = outcome_matrix(calibrate_confidence(raw), rows, pool.names, small=sorted(pool.small))
    labels = None
    if settings.answers == "calibrated":
        labels = fit_labels(outcomes.where("fit"), seed=settings.seed)
        outcomes = calibrated_labels(outcomes, seed=settings.seed)
    unfitted = _unfitted_strategy(settings)
    outcomes, sample_settings = with_recorded_samples(outcomes, unfitted.router, where.outcomes)
    parts = outcomes.where("fit"), outcomes.where("calibration")
    strategy = unfitted.fit(*parts)
    paid, usd_per_s = _overhead(where, strategy.name, prices)
    threshold, reason = _threshold(strategy, parts[1], settings, paid)
    return FittedRouting(
        strategy=strategy,
        threshold=threshold,
        rule=f"{settings.routing_strategy} at threshold {threshold:.3g}, {reason}",
        models=pool.names,
        small=pool.small,
        calibration=fit_calibration(raw if labels is None else as_rows(outcomes)),
        expectation=fit_expectation(raw, from_table(table), pool.names, profile=profile, prices=prices),
        domain_classifier=_domain_classifier(strategy, parts[0], settings.seed),
        router_usd_per_s=usd_per_s,
        semantic_cache=_certificate(table, settings) if settings.cache_enabled and settings.cache_semantic else None,
        sample_settings=sample_settings,
        labels=labels,
    )


def _unfitted_strategy(settings: OrchestratorSettings) -> RoutedStrategy:
    strategy = load_strategy(settings.routing_strategy, seed=settings.seed)
    if not isinstance(strategy, RoutedStrategy):
        raise ValueError(f"routing_strategy={settings.routing_strategy}: it has no router, so it cannot run live")
    return strategy


def _domain_classifier(strategy: FittedRoutedStrategy, fit_outcomes: OutcomeMatrix, seed: int) -> DomainClassifier:
    """Return a fitted classifier of domains; it shares the router's vectors if these hold the task analysis."""
    router, prompts = strategy.router, fit_outcomes.reading(strategy.view).prompts
    vectors = getattr(router, "vectors", None)
    if vectors is not None:
        vectors = router.vectors = CachedVectors(vectors)  # type: ignore[attr-defined]
    if vectors is None or not isinstance(vectors.vectors, TaskAnalysis):
        vectors = CachedVectors(TaskAnalysis(LatentSemantics(32, seed))).fit(prompts)
    return DomainClassifier(vectors).fit(prompts, fit_outcomes.tasks["domain"].tolist())


def _overhead(where: Records, strategy: str, prices: pd.DataFrame) -> tuple[Overhead, float]:
    profile = read_overhead(where.overhead)
    if strategy not in profile.index:
        return Overhead(), usd_per_second(prices, "cpu", 1)
    rate = usd_per_second(prices, str(profile.loc[strategy, "device"]), int(str(profile.loc[strategy, "threads"])))
    return overhead(profile, strategy, usd_per_s=rate), rate


def _certificate(tasks: pd.DataFrame, settings: OrchestratorSettings) -> Certificate:
    # Only questions are read, no outcome, so tasks of every split may be used.
    texts, groups = tasks["question"].tolist(), tasks["group"].tolist()
    rng = np.random.default_rng(settings.seed)
    return certify_on(texts, groups, FalseHitBudget(settings.false_hit_budget), rng=rng)


def _threshold(
    strategy: FittedRoutedStrategy, calibration: OutcomeMatrix, settings: OrchestratorSettings, paid: Overhead
) -> tuple[float, str]:
    if settings.routing_threshold is not None:
        return float(settings.routing_threshold), "as configured"
    rule = operating_point_for(settings.aim, share=settings.budget_share)
    (choices,) = strategy.choose(calibration, _GRID).values()
    chosen = rule.choose(replay(strategy.name, choices, calibration, overhead=paid), calibration)
    return float(_GRID[chosen.position]), chosen.reason


def _build_tasks(path: Path, name: str, *, packaged: bool) -> None:
    """Write the tasks of a packaged suite, as experiments.prepare selects them."""
    if not packaged or not (REPOSITORY / "conf" / "suite" / f"{name}.yaml").is_file():
        command = f"python -m experiments.prepare suite={name}"
        raise ValueError(f"{path}: no such tasks; `{command}` builds them, or give `tasks=` their table")
    _LOG.warning("%s: building the tasks that the router is calibrated on", path)
    suite, datasets = packaged_suite(name)
    pilot_table = None if suite.selected_by is None else pd.read_csv(REPOSITORY / suite.selected_by)
    selected = build_suite(datasets, suite, pilot_table)
    tables.write(to_table(selected), tables.TASKS, path, metadata={"suite": name})


def _key(pool: Pool, where: Records, settings: OrchestratorSettings) -> str:
    digest = hashlib.sha256()
    tables_read = [
        where.tasks,
        where.profile,
        where.overhead,
        where.prices,
        *(outcomes_path(where.outcomes, n) for n in pool.names),
        *(where.outcomes / "samples" / f"{n}.parquet" for n in pool.names),
    ]
    tables_read.append(REPOSITORY / "conf" / "routing" / f"{settings.routing_strategy}.yaml")
    for path in tables_read:
        digest.update(artifacts.sha256(path).encode() if path.is_file() else b"none")
    digest.update(repr((settings, pool.names, sorted(pool.small))).encode())
    return digest.hexdigest()[:32]


@dataclass(frozen=True)
class Analysis:
    """What is known of a request before any model is called: the most probable domain, complexity and text features.

    `complexity` lies in [0, 1]; `seconds` is how long the analysis took.
    """

    domain: str
    domain_probability: float
    complexity: float
    features: dict[str, float]
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.domain} (probability {self.domain_probability:.2f}), complexity {self.complexity:.2f}, "
            f"{np.expm1(self.features['log_characters']):.0f} characters; analysed in {self.seconds * 1e3:.1f} ms"
        )


@dataclass
class DomainClassifier:
    """Predicts the domain of a request by logistic regression on fitted vectors."""

    vectors: Vectors

    def fit(self, prompts: pd.Series, domains: Sequence[str]) -> DomainClassifier:
        """Fit on prompts and the domain of each; a single domain needs no classifier."""
        self._domains = np.unique(domains)
        features = self.vectors.transform(prompts)
        self._classifier = LogisticRegression(max_iter=2000).fit(features, domains) if len(self._domains) > 1 else None
        return self

    def analyse(self, texts: Sequence[str]) -> list[Analysis]:
        """Return one analysis per text; `seconds` is the mean over the batch."""
        started = time.perf_counter()
        prompts = pd.Series(list(texts))
        features = analyse(prompts)
        scores = complexity(features)
        probability = (
            np.ones((len(prompts), 1))
            if self._classifier is None
            else self._classifier.predict_proba(self.vectors.transform(prompts))
        )
        best = probability.argmax(axis=1)
        seconds = (time.perf_counter() - started) / max(len(prompts), 1)
        return [
            Analysis(
                domain=str(self._domains[best[row]]),
                domain_probability=float(probability[row, best[row]]),
                complexity=float(scores[row]),
                features=dict(zip(features.columns, features.iloc[row].tolist(), strict=True)),
                seconds=seconds,
            )
            for row in range(len(prompts))
        ]


@dataclass
class CachedVectors:
    """Vectors with a cache: a request is routed several times and embedded once."""

    vectors: Vectors
    max_texts: int = 4096
    _known: dict[str, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)

    def fit(self, prompts: pd.Series) -> Self:
        """Fit the vectors and empty the cache."""
        self.vectors.fit(prompts)
        self._known = {}
        return self

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return an array of prompts × dimensions, equal to that of the wrapped vectors."""
        texts, known = prompts.tolist(), self._known
        found = {text: known.get(text) for text in texts}
        if missing := [text for text, vector in found.items() if vector is None]:
            found |= zip(missing, self.vectors.transform(pd.Series(missing)), strict=True)
            if len(known) + len(missing) > self.max_texts:
                known = self._known = {}
            known |= {text: found[text] for text in missing[: self.max_texts]}
        return np.array([found[text] for text in texts])
