"""Prompts as short dense vectors, learnt from the words of the fit tasks alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer


@dataclass
class PromptVectors:
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
        self._projection = TruncatedSVD(width, random_state=self.seed).fit(counts) if width > 0 else None
        return self

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return prompts × dimensions."""
        if self._projection is None:
            return np.zeros((len(prompts), 0))
        return self._projection.transform(self._words.transform(prompts))
