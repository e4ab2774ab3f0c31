"""Task analysis: what can be read off a prompt before any model is called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
