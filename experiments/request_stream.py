"""Streams of requests over recorded tasks, run through a real cache."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.serving.cache.cache import AnswerCache, CacheSettings
from slm_orchestration.serving.cache.similarity import Encoder
from slm_orchestration.serving.cache.threshold import adversarial_pairs, paraphrase
from slm_orchestration.serving.orchestrator import as_task

_EXACT, _PARAPHRASED, _CHANGED = range(3)


@dataclass(frozen=True)
class Stream:
    """Requests in order: text, the task it comes from, its form, what it means, and what a call takes and gives."""

    texts: list[str]
    places: NDArray[np.intp]
    forms: NDArray[np.intp]
    meanings: list[str]
    latency_s: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    quality: NDArray[np.float64]

    @classmethod
    def draw(cls, outcomes: OutcomeMatrix, asked: DictConfig, exponent: float, *, rng: np.random.Generator) -> Self:
        """Draw tasks by Zipf's law over their order in a shuffle; a changed request means something of its own."""
        questions = outcomes.tasks["question"].tolist()
        changed: dict[int, list[str]] = {}
        for pair in adversarial_pairs(questions, outcomes.tasks["group"].tolist(), rng=rng):
            changed.setdefault(pair.place, []).append(pair.other)
        weights = np.arange(1, len(questions) + 1) ** -float(exponent)
        places = rng.permutation(len(questions))[rng.choice(len(questions), asked.requests, p=weights / weights.sum())]
        shares = [1 - asked.paraphrased - asked.changed, asked.paraphrased, asked.changed]
        forms = rng.choice(3, asked.requests, p=shares)
        texts, meanings = [], []
        for place, form in zip(places.tolist(), forms.tolist(), strict=True):
            others = changed.get(place, []) if form == _CHANGED else []
            text = others[rng.integers(len(others))] if others else questions[place]
            texts.append(paraphrase(text, rng) if form == _PARAPHRASED else text)
            meanings.append(text)
        dearest = outcomes.latency_s[places, -1], outcomes.cost_usd[places, -1], outcomes.quality[places, -1]
        return cls(texts, places, forms, meanings, *dearest)


@dataclass
class _Remembered:
    """An encoder that encodes each text once; its time is not what is measured here."""

    encoder: Encoder
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.encoder.name

    @property
    def dimensions(self) -> int:
        return self.encoder.dimensions

    def learn(self, texts: Sequence[str]) -> None:
        """Encode texts that are new."""
        fresh = sorted(set(texts) - set(self.vectors))
        if fresh:
            self.vectors |= dict(zip(fresh, self.encoder.encode(fresh), strict=True))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([self.vectors[text] for text in texts])


def run_stream(stream: Stream, encoder: Encoder, settings: CacheSettings) -> dict[str, float]:
    """Return what the cache did: hit rates of exact repeats and of paraphrases, false hits, seconds and quality.

    A false hit is an answer to what meant something else; its quality is 0, whatever the answer. Lookups exclude the
    encoding. Hit rates are over all requests of their form, first ones included.
    """
    remembered = _Remembered(encoder)
    remembered.learn(stream.texts)
    cache = AnswerCache(None, remembered, settings)
    hit = np.zeros(len(stream.texts), dtype=bool)
    false, lookups = hit.copy(), np.zeros(len(stream.texts))
    for row, text in enumerate(stream.texts):
        task = as_task(text, max_tokens=1)
        started = time.perf_counter()
        found = cache.find(task)
        lookups[row] = time.perf_counter() - started
        if found is None:
            saved = float(stream.latency_s[row]), float(stream.cost_usd[row])
            cache.add(task, stream.meanings[row], "dearest", saved=saved)
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
