"""The routers that advice tries on anyone's outcomes, and at which thresholds: quick to fit, one of each kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.features import LatentSemantics, TaskAnalysis, Vectors
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.references import FittedDomainTable
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.router import Router
from slm_orchestration.routing.routers.confidence import ConfidenceRouter
from slm_orchestration.routing.routers.domain_table import DomainTableRouter
from slm_orchestration.routing.routers.knn import NearestTasksRouter
from slm_orchestration.routing.routers.regression import RegressionRouter
from slm_orchestration.routing.rules import Cascade, Rule, Utility
from slm_orchestration.routing.strategy import FittedRoutedStrategy, FittedStrategy, RoutedStrategy

DOMAIN_TABLE = "domain_table_given"
MOST_THRESHOLDS = 41
_MOST_NEIGHBOURS = 5_000  # fit tasks that nearest neighbours are searched among
_MOST_SCORED = 5_000  # fit tasks whose scores thresholds are taken from


@dataclass
class SharedVectors:
    """Vectors that several routers share: fitted once, and each table of prompts is transformed once.

    A copy is the same object, as all candidates are fitted on the same fit tasks.
    """

    vectors: Vectors
    _fitted: int | None = field(default=None, init=False, repr=False)
    _known: dict[int, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)

    def fit(self, prompts: pd.Series) -> Self:
        """Fit the vectors, unless they are already fitted on these prompts."""
        if self._fitted != (key := _key(prompts)):
            self.vectors.fit(prompts)
            self._fitted, self._known = key, {}
        return self

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return prompts × dimensions, equal to those of the wrapped vectors."""
        key = _key(prompts)
        if key not in self._known:
            self._known[key] = self.vectors.transform(prompts)
        return self._known[key]

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


def candidates(seed: int) -> dict[str, RoutedStrategy]:
    """Return the routers by their names; each reads prompts or confidences."""
    words = SharedVectors(TaskAnalysis(LatentSemantics(32, seed)))
    routers: dict[str, tuple[Router, Rule]] = {
        "logistic": (RegressionRouter(words, LogisticQuality()), Utility()),
        "knn": (NearestTasksRouter(LatentSemantics(64, seed), (5, 10, 20, 40, 80, 160), _MOST_NEIGHBOURS), Utility()),
        "domain_table_predicted": (DomainTableRouter(words, exact=False), Utility()),
        "confidence": (ConfidenceRouter(), Cascade()),
    }
    return {name: RoutedStrategy(name, router, rule) for name, (router, rule) in routers.items()}


def thresholds_of(strategy: FittedStrategy, fit: OutcomeMatrix) -> NDArray[np.float64]:
    """Return up to MOST_THRESHOLDS thresholds; between any two neighbours, about equally many choices change.

    They lie between the thresholds at which the choice for some fit task changes, with 0 and 1 at the ends. Equal steps
    would miss most changes of a router whose scores lie close together. Fit tasks are used, so that calibration tasks
    remain unseen.
    """
    if isinstance(strategy, FittedRoutedStrategy):
        scored = fit.take(np.arange(min(_MOST_SCORED, len(fit))) * len(fit) // min(_MOST_SCORED, len(fit)))
        changes = strategy.changes(scored, overhead=Overhead()).threshold
    elif isinstance(strategy, FittedDomainTable):
        changes = _changes_of_table(strategy)
    else:
        return np.linspace(0, 1, MOST_THRESHOLDS)
    changes = np.sort(changes[(changes > 0) & (changes < 1)])
    distinct = np.unique(changes)
    if len(distinct) > MOST_THRESHOLDS - 3:
        distinct = np.unique(np.quantile(changes, np.linspace(0, 1, MOST_THRESHOLDS - 1), method="lower"))
    between = (np.append(0.0, distinct) + np.append(distinct, 1.0)) / 2
    return np.unique(np.concatenate([[0.0], between, [1.0]]))


def _key(prompts: pd.Series) -> int:
    return hash(tuple(prompts))


def _changes_of_table(table: FittedDomainTable) -> NDArray[np.float64]:
    """Return the thresholds at which two models are worth the same in some domain."""
    found = []
    for quality in (*table.rows.values(), table.overall):
        for one, other in combinations(range(len(quality)), 2):
            gain, cost = quality[other] - quality[one], table.relative_cost[other] - table.relative_cost[one]
            if gain + cost != 0:
                found.append(gain / (gain + cost))
    return np.array(found, dtype=np.float64)
