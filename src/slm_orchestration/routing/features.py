"""Task analysis: what can be read off a prompt before any model is called."""

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


_LONG_PROMPT = 20_000  # characters; what lies beyond changes no feature worth its time
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


def analyse(prompts: Iterable[str]) -> pd.DataFrame:
    """Return one row of FEATURES per prompt: length, numbers, code, structure, reasoning markers, kind of question."""
    return pd.DataFrame(feature_matrix(prompts), columns=list(FEATURES))


def feature_matrix(prompts: Iterable[str]) -> NDArray[np.float64]:
    """Return what `analyse` does as prompts × FEATURES."""
    return np.array([_analyse(text[:_LONG_PROMPT]) for text in prompts], dtype=float).reshape(-1, len(FEATURES))


def complexity(features: pd.DataFrame) -> NDArray[np.float64]:
    """Return a score in [0, 1] that grows with length, numbers, code, structure and reasoning markers.

    A fixed, label-free heuristic of the kind that published routers hard-code; its weights are not fitted to anything.
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


def _saturate(values: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    return np.clip(values / scale, 0.0, 1.0)


def forget() -> None:
    """Forget the analyses kept so far, so that the next ones take what those of new prompts take."""
    _analyse.cache_clear()


@lru_cache(maxsize=16_384)  # rules weigh the same prompts again and again
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


# ========== Prompts as numbers: what fitted routers read.
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
    from slm_orchestration.models.encoder import SentenceEncoder  # loads torch, which few routers need

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
