"""Task analysis of a request that no table holds: features, domain and complexity, and how long that took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from slm_orchestration.routing.features import analyse, complexity
from slm_orchestration.routing.prompt_vectors import Vectors


@dataclass(frozen=True)
class Analysis:
    """What can be said of a request before any model is called; `domain` is the most probable one."""

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
class Analyst:
    """Says what kind of request it is, from fitted vectors; the classifier of domains is fitted on fit tasks."""

    vectors: Vectors

    def fit(self, prompts: pd.Series, domains: Sequence[str]) -> Analyst:
        """Fit the classifier of domains, one domain per prompt."""
        self._domains = np.unique(domains)
        features = self.vectors.transform(prompts)
        self._classifier = LogisticRegression(max_iter=2000).fit(features, domains) if len(self._domains) > 1 else None
        return self

    def analyse(self, questions: Sequence[str]) -> list[Analysis]:
        """Return one analysis per prompt; `seconds` is its share of the time that all took."""
        started = time.perf_counter()
        prompts = pd.Series(list(questions))
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
class Remembered:
    """Vectors of the texts that were asked for lately: a request is weighed several times and embedded once."""

    vectors: Vectors
    most: int = 4096
    _known: dict[str, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)

    def fit(self, prompts: pd.Series) -> Self:
        """Fit the vectors, and forget those of before."""
        self.vectors.fit(prompts)
        self._known = {}
        return self

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return prompts × dimensions, as the vectors themselves would."""
        texts, known = prompts.tolist(), self._known
        found = {text: known.get(text) for text in texts}
        if missing := [text for text, vector in found.items() if vector is None]:
            found |= zip(missing, self.vectors.transform(pd.Series(missing)), strict=True)
            if len(known) + len(missing) > self.most:
                known = self._known = {}
            known |= {text: found[text] for text in missing[: self.most]}
        return np.array([found[text] for text in texts])
