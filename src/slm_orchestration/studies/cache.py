"""What a cache of answers hits, hits falsely, saves and loses, on pairs made by rule and on streams of requests."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.serving.cache.cache import AnswerCache, CacheSettings
from slm_orchestration.serving.cache.similarity import Encoder
from slm_orchestration.serving.cache.threshold import adversarial_pairs, hit_rates, paraphrase
from slm_orchestration.serving.orchestrator import as_task

_EXACT, _PARAPHRASED, _CHANGED = range(3)


@dataclass(frozen=True)
class StreamSettings:
    """How many requests a stream has, and which shares are paraphrased or changed to ask for something else."""

    requests: int
    paraphrased: float
    changed: float


@dataclass(frozen=True)
class RequestStream:
    """Requests in order: text, index of the task it comes from, its form, its meaning.

    `latency_s`, `cost_usd` and `quality` are those of a call of the most expensive model. Two requests mean the same if
    their `meanings` are equal.
    """

    texts: list[str]
    tasks: NDArray[np.intp]
    forms: NDArray[np.intp]
    meanings: list[str]
    latency_s: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    quality: NDArray[np.float64]

    @classmethod
    def draw(
        cls, outcomes: OutcomeMatrix, settings: StreamSettings, exponent: float, *, rng: np.random.Generator
    ) -> Self:
        """Draw tasks by Zipf's law over their order in a shuffle; 0 as the exponent is uniform."""
        questions = outcomes.tasks["question"].tolist()
        changed: dict[int, list[str]] = {}
        for pair in adversarial_pairs(questions, outcomes.tasks["group"].tolist(), rng=rng):
            changed.setdefault(pair.place, []).append(pair.other)
        count = settings.requests
        weights = np.arange(1, len(questions) + 1) ** -float(exponent)
        tasks = rng.permutation(len(questions))[rng.choice(len(questions), count, p=weights / weights.sum())]
        shares = [1 - settings.paraphrased - settings.changed, settings.paraphrased, settings.changed]
        forms = rng.choice(3, count, p=shares)
        texts, meanings = [], []
        for task, form in zip(tasks.tolist(), forms.tolist(), strict=True):
            others = changed.get(task, []) if form == _CHANGED else []
            text = others[rng.integers(len(others))] if others else questions[task]
            texts.append(paraphrase(text, rng) if form == _PARAPHRASED else text)
            meanings.append(text)
        paid = outcomes.latency_s[tasks, -1], outcomes.cost_usd[tasks, -1], outcomes.quality[tasks, -1]
        return cls(texts, tasks, forms, meanings, *paid)


def run_stream(stream: RequestStream, encoder: Encoder, settings: CacheSettings) -> dict[str, float]:
    """Send a stream through a real cache; return hit rates, false hits, seconds saved and quality lost.

    A false hit is an answer to a request that meant something else; its quality is 0. Hit rates are over all requests
    of their form, first ones included. Lookup times exclude the encoding.
    """
    precomputed = _PrecomputedVectors(encoder)
    precomputed.add(stream.texts)
    cache = AnswerCache(None, precomputed, settings)
    hit = np.zeros(len(stream.texts), dtype=bool)
    false, lookups = hit.copy(), np.zeros(len(stream.texts))
    for row, text in enumerate(stream.texts):
        task = as_task(text, max_tokens=1)
        started = time.perf_counter()
        found = cache.find(task)
        lookups[row] = time.perf_counter() - started
        if found is None:
            saved = float(stream.latency_s[row]), float(stream.cost_usd[row])
            cache.add(task, stream.meanings[row], "most expensive", saved=saved)
        else:
            hit[row], false[row] = True, found.entry.answer != stream.meanings[row]
    cache.close()
    return {
        "hits": float(hit.mean()),
        "repeats hit": float(hit[stream.forms == _EXACT].mean()),
        "paraphrases hit": float(hit[stream.forms == _PARAPHRASED].mean()),
        "false hits": int(false.sum()),
        "of requests": float(false.mean()),
        "of hits": float(false.sum() / max(hit.sum(), 1)),
        "seconds saved": float(stream.latency_s[hit].sum() / stream.latency_s.sum()),
        "quality lost": float(stream.quality[false].sum() / len(hit)),
        "lookup p50 ms": float(np.quantile(lookups, 0.5) * 1e3),
    }


def stream_table(
    outcomes: OutcomeMatrix,
    encoder: Encoder,
    settings: StreamSettings,
    exponents: Sequence[float],
    caches: Mapping[str, CacheSettings],
    *,
    seed: int,
) -> pd.DataFrame:
    """Return a row per Zipf exponent and cache; every exponent's stream is drawn from the same seed."""
    rows: list[dict[str, object]] = []
    for exponent in exponents:
        stream = RequestStream.draw(outcomes, settings, exponent, rng=np.random.default_rng(seed))
        rows += [
            {"zipf": exponent, "cache": name} | run_stream(stream, encoder, cache) for name, cache in caches.items()
        ]
    return pd.DataFrame(rows)


def pair_table(pairs: pd.DataFrame, thresholds: Sequence[float], certified: float | None) -> pd.DataFrame:
    """Return the hit rates of pairs at each threshold, without and with the guard.

    Intervals are exact 95 % ones (Clopper and Pearson 1934). `pairs` must not be those that chose `certified`.
    """
    grid = np.array(sorted({*thresholds, *([] if certified is None else [certified])}))
    kinds = pd.concat([pairs, pairs[pairs["kind"] != "paraphrase"].assign(kind="all that must not hit")])
    kinds = kinds.reset_index(drop=True)
    table = pd.concat([hit_rates(kinds, grid, guarded=guarded) for guarded in (False, True)], ignore_index=True)
    hits, tried = table["hits"].to_numpy(), table["pairs"].to_numpy()
    low = np.where(hits > 0, beta.ppf(0.025, hits, tried - hits + 1), 0.0)
    high = np.where(hits < tried, beta.ppf(0.975, hits + 1, np.maximum(tried - hits, 1)), 1.0)
    return table.assign(rate=hits / tried, low=low, high=high)


@dataclass
class _PrecomputedVectors:
    """An encoder whose vectors are computed beforehand, so that lookup times exclude the encoding."""

    encoder: Encoder
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.encoder.name

    @property
    def dimensions(self) -> int:
        return self.encoder.dimensions

    def add(self, texts: Sequence[str]) -> None:
        """Encode texts that are new."""
        fresh = sorted(set(texts) - set(self.vectors))
        if fresh:
            self.vectors |= dict(zip(fresh, self.encoder.encode(fresh), strict=True))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([self.vectors[text] for text in texts])
