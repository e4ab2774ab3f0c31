"""Features of prompts: text statistics (task analysis), latent semantics and sentence embeddings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from slm_orchestration.statistics.grid import on_grid

if TYPE_CHECKING:
    from slm_orchestration.models.encoder import SentenceEncoder


# A component whose singular value is below this share of the largest one holds rounding errors only.
_NO_VARIANCE = 1e-9
_LONG_PROMPT = 20_000  # characters; analysing more would take time and change the features little
_OPTION = re.compile(r"^\s*\(?[A-Z][.)]\s", re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]+")
_CODE = re.compile(r"```|\bdef |\breturn\b|\bclass \w+|\bSELECT\b|[{};]\s*$|=>|\w+\(\w*\)", re.MULTILINE)
_STRUCTURE = re.compile(r"[{}\[\]<>|]|\",|\":")
_REASONING = re.compile(
    r"\b(?:why|prove|explain|derive|step|steps|therefore|if|then|all|none|every|some|not|implies|conclude|deduce|calculate|"
    r"how many|how much|total|each|total of|more than|less than|before|after)\b",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"\w+")
_KINDS = ("what", "which", "who", "when", "where", "why", "how", "is", "are", "does", "write", "find", "given")

FEATURES = (
    "log_characters", "log_words", "word_length", "sentence_length", "number_density", "digit_share", "code_density",
    "structure_density", "reasoning_density", "options", "capital_share", "questions", "newline_density",
    *(f"kind_{kind}" for kind in _KINDS),
)  # fmt: skip

FEATURE_WEIGHT, LATENT_WEIGHT = 0.3, 10.0  # of the columns of WideVectors


def analyse(prompts: Iterable[str]) -> pd.DataFrame:
    """Return FEATURES per prompt: length, numbers, code, structure, reasoning markers, kind of question."""
    return pd.DataFrame(feature_matrix(prompts), columns=list(FEATURES))


def feature_matrix(prompts: Iterable[str]) -> NDArray[np.float64]:
    """Return what `analyse` returns as an array, prompts × FEATURES."""
    return np.array([_analyse(text[:_LONG_PROMPT]) for text in prompts], dtype=float).reshape(-1, len(FEATURES))


def complexity(features: pd.DataFrame) -> NDArray[np.float64]:
    """Return a score in [0, 1] that grows with length, numbers, code, structure and reasoning markers.

    A heuristic with fixed weights, as published routers hard-code them; nothing is fitted.
    """
    values = {name: features[name].to_numpy(float) for name in features.columns}
    parts = (
        0.30 * _saturate(values["log_characters"] - np.log1p(40.0), 3.0)
        + 0.20 * _saturate(values["number_density"], 0.10)
        + 0.20 * _saturate(values["reasoning_density"], 0.10)
        + 0.15 * _saturate(values["code_density"], 0.05)
        + 0.15 * _saturate(values["structure_density"], 0.20)
    )
    return np.clip(parts, 0.0, 1.0)


def clear_cache() -> None:
    """Drop the cached analyses, so that timings are those of new prompts."""
    _analyse.cache_clear()


class Vectors(Protocol):
    """Turns prompts into vectors, prompts × dimensions, rounded to the grid; fitted on the prompts of fit tasks."""

    def fit(self, prompts: pd.Series) -> Self: ...

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]: ...


@dataclass
class LatentSemantics:
    """TF-IDF of words and word pairs, reduced to `dimensions` by a truncated SVD (latent semantic analysis)."""

    dimensions: int
    seed: int

    def fit(self, prompts: pd.Series) -> Self:
        """Fit the vocabulary and the projection; few prompts or words give fewer dimensions."""
        self._words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=20_000, sublinear_tf=True)
        try:
            counts = self._words.fit_transform(prompts)
        except ValueError:  # no word occurs twice, so the vocabulary is empty
            self._projection = None
            return self
        width = min(self.dimensions, counts.shape[1] - 1, counts.shape[0] - 1)
        with np.errstate(invalid="ignore", divide="ignore"):  # equal prompts have no variance
            self._projection = TruncatedSVD(width, random_state=self.seed).fit(counts) if width > 0 else None
        if self._projection is not None:
            drop_rounding_components(self._projection)
            # words × dimensions in the order that a sparse product reads; transposed, it would be copied at each call
            self._basis = np.ascontiguousarray(self._projection.components_.T)
        return self

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return prompts × dimensions, on the grid."""
        if self._projection is None:
            return np.zeros((len(prompts), 0))
        return on_grid(self._words.transform(prompts) @ self._basis)


@dataclass
class SentenceEmbeddings:
    """Embeddings of the pretrained all-MiniLM-L6-v2, 384 dimensions; nothing is fitted."""

    def fit(self, prompts: pd.Series) -> Self:
        """Return self: the encoder is pretrained."""
        return self

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return prompts × 384 of length 1, on the grid. Raises ArtifactError if the weights cannot be had."""
        return on_grid(_sentence_encoder().encode(prompts.to_list()))


@dataclass
class TaskAnalysis:
    """FEATURES joined with other vectors, standardised by the mean and standard deviation on fit tasks."""

    vectors: Vectors

    def fit(self, prompts: pd.Series) -> Self:
        """Fit the vectors, and each feature's mean and standard deviation."""
        self.vectors.fit(prompts)
        raw = self._raw(prompts)
        self._centre, spread = raw.mean(axis=0), raw.std(axis=0)
        self._spread = np.where(spread > 1e-12, spread, 1.0)  # a feature that is constant on fit tasks
        return self

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return prompts × (features + dimensions), standardised and clipped to ±10, on the grid."""
        return on_grid(np.clip((self._raw(prompts) - self._centre) / self._spread, -10.0, 10.0))

    def _raw(self, prompts: pd.Series) -> NDArray[np.float64]:
        return np.hstack([feature_matrix(prompts), self.vectors.transform(prompts)])


@dataclass
class WideVectors:
    """FEATURES and many dimensions of latent semantics side by side, for predictors that each take some of them.

    Features are standardised and weigh `FEATURE_WEIGHT`; the dimensions keep their singular values, so that the first
    ones weigh most, times `LATENT_WEIGHT`. Columns: FEATURES, then the dimensions in their order.
    """

    dimensions: int
    seed: int

    def fit(self, prompts: pd.Series) -> Self:
        """Fit the dimensions, and each feature's mean and standard deviation."""
        self._latent = LatentSemantics(self.dimensions, self.seed).fit(prompts)
        raw = feature_matrix(prompts)
        self._centre, spread = raw.mean(axis=0), raw.std(axis=0)
        self._spread = np.where(spread > 1e-12, spread, 1.0)
        return self

    def transform(self, prompts: pd.Series) -> NDArray[np.float64]:
        """Return prompts × (features + dimensions), on the grid."""
        standard = np.clip((feature_matrix(prompts) - self._centre) / self._spread, -10.0, 10.0)
        return on_grid(np.hstack([FEATURE_WEIGHT * standard, LATENT_WEIGHT * self._latent.transform(prompts)]))


def drop_rounding_components(projection: TruncatedSVD | PCA) -> None:
    """Set the components of a fitted projection that hold rounding errors only to 0: they differ between machines."""
    noise = projection.singular_values_ <= _NO_VARIANCE * projection.singular_values_.max(initial=0.0)
    projection.components_[noise] = 0.0


def unit_length(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points scaled to length 1, on the grid; dot products are then cosines. A point at 0 stays there.

    Coordinates are multiples of STEP, so that dot products of up to a million of them are exact in any order.
    """
    return on_grid(points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12))


def _saturate(values: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    return np.clip(values / scale, 0.0, 1.0)


@lru_cache(maxsize=16_384)  # the same prompts are analysed for every strategy
def _analyse(text: str) -> tuple[float, ...]:
    words = _WORD.findall(text)
    characters, count = max(len(text), 1), max(len(words), 1)
    tokens = set(_TOKEN.findall(text.lower()))
    sentences = max(text.count(".") + text.count("?") + text.count("!"), 1)
    return (
        float(np.log1p(len(text))),
        float(np.log1p(len(words))),
        sum(map(len, words)) / count,
        min(len(words) / sentences, 100.0),
        len(_NUMBER.findall(text)) / count,
        sum(map(str.isdigit, text)) / characters,
        len(_CODE.findall(text)) / count,
        len(_STRUCTURE.findall(text)) / count,
        len(_REASONING.findall(text)) / count,
        float(min(len(_OPTION.findall(text)), 10)),
        sum(map(str.isupper, text)) / characters,
        float(min(text.count("?"), 5)),
        text.count("\n") / characters,
        *(float(kind in tokens) for kind in _KINDS),
    )


@cache
def _sentence_encoder() -> SentenceEncoder:
    from slm_orchestration.models.encoder import SentenceEncoder  # loads torch, which few routers need

    return SentenceEncoder()
