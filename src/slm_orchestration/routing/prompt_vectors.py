"""Prompts as numbers: what fitted routers read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from slm_orchestration.routing.features import feature_matrix
from slm_orchestration.statistics.grid import on_grid

if TYPE_CHECKING:
    from slm_orchestration.models.sentence_encoder import SentenceEncoder


# A dimension whose singular value is below this share of the largest one is spanned by rounding alone.
_NO_VARIANCE = 1e-9


class Vectors(Protocol):
    """Turns prompts into prompts × dimensions on the grid; what it learns, it learns from fit tasks."""

    def fit(self, prompts: pd.Series) -> Self: ...

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]: ...


@dataclass
class LatentSemantics:
    """TF-IDF of words and word pairs, reduced to `dimensions` by a truncated SVD (latent semantic analysis)."""

    dimensions: int
    seed: int

    def fit(self, prompts: pd.Series) -> Self:
        """Learn the vocabulary and the projection; fewer dimensions where the prompts do not have as many."""
        self._words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=20_000, sublinear_tf=True)
        try:
            counts = self._words.fit_transform(prompts)
        except ValueError:  # no word occurs twice: nothing to learn from
            self._projection = None
            return self
        width = min(self.dimensions, counts.shape[1] - 1, counts.shape[0] - 1)
        with np.errstate(invalid="ignore", divide="ignore"):  # prompts that are all alike have no variance to explain
            self._projection = TruncatedSVD(width, random_state=self.seed).fit(counts) if width > 0 else None
        if self._projection is not None:
            without_rounding(self._projection)
        return self

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return prompts × dimensions, on the grid."""
        if self._projection is None:
            return np.zeros((len(prompts), 0))
        return on_grid(self._projection.transform(self._words.transform(prompts)))


@dataclass
class SentenceEmbeddings:
    """The 384 dimensions of all-MiniLM-L6-v2, learned on other people's text; nothing is fitted."""

    def fit(self, prompts: pd.Series) -> Self:
        """Return these vectors as they are."""
        return self

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return prompts × 384 of length 1, on the grid. Raises ArtifactError if the weights cannot be had."""
        return on_grid(_sentence_encoder().encode(prompts.to_list()))


@dataclass
class TaskAnalysis:
    """The features of task analysis beside other vectors, standardised on fit tasks."""

    vectors: Vectors

    def fit(self, prompts: pd.Series) -> Self:
        """Fit the vectors and note each feature's mean and spread."""
        self.vectors.fit(prompts)
        raw = self._raw(prompts)
        self._centre, spread = raw.mean(axis=0), raw.std(axis=0)
        self._spread = np.where(spread > 1e-12, spread, 1.0)  # a feature that never varied on fit tasks stays near 0
        return self

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return prompts × (features + dimensions), standardised, kept within ±10 spreads, on the grid."""
        return on_grid(np.clip((self._raw(prompts) - self._centre) / self._spread, -10.0, 10.0))

    def _raw(self, prompts: pd.Series) -> NDArray[np.float64]:
        return np.hstack([feature_matrix(prompts), self.vectors.transform(prompts)])


@cache
def _sentence_encoder() -> SentenceEncoder:
    from slm_orchestration.models.sentence_encoder import SentenceEncoder  # loads torch, which few routers need

    return SentenceEncoder()


def without_rounding(projection: TruncatedSVD | PCA) -> None:
    """Set the components of a fitted projection that nothing but rounding spans to 0: they differ between machines."""
    noise = projection.singular_values_ <= _NO_VARIANCE * projection.singular_values_.max(initial=0.0)
    projection.components_[noise] = 0.0


def unit_length(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points at length 1 on the grid, so that products are cosines; a point at 0 stays there.

    Products of up to a million such points' coordinates are sums of multiples of STEP² and exact in any order.
    """
    return on_grid(points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12))
