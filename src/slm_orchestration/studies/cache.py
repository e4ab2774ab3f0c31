"""What a cache of answers hits, hits falsely, saves and loses, on pairs made by rule and on streams of requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.serving.cache.cache import AnswerCache, CacheSettings
from slm_orchestration.serving.cache.certificate import hits
from slm_orchestration.serving.cache.entries import Entry
from slm_orchestration.serving.cache.pairs import TextPair, different_pairs, paraphrase
from slm_orchestration.serving.orchestrator import as_task
from slm_orchestration.studies.vector_cache import Encoder, VectorCache

_EXACT, _PARAPHRASED, _CHANGED = range(3)
_FORBIDDEN = "all that must not hit"
Find = Callable[[int], str | None]  # the answer to the request at a row of a stream
Add = Callable[[int], None]


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
        """Draw tasks by Zipf's law over their order in a shuffle; 0 as the exponent is uniform.

        Raises ValueError if the shares of paraphrased and changed requests exceed 1 together.
        """
        plain = 1 - settings.paraphrased - settings.changed
        if plain < -1e-9:
            raise ValueError(
                f"paraphrased={settings.paraphrased:g} and changed={settings.changed:g} are more than all requests"
            )
        questions = outcomes.tasks["question"].tolist()
        changed: dict[int, list[str]] = {}
        for pair in different_pairs(questions, outcomes.tasks["group"].tolist(), rng=rng):
            changed.setdefault(pair.place, []).append(pair.other)
        count = settings.requests
        weights = np.arange(1, len(questions) + 1) ** -float(exponent)
        tasks = rng.permutation(len(questions))[rng.choice(len(questions), count, p=weights / weights.sum())]
        shares = [max(plain, 0.0), settings.paraphrased, settings.changed]  # 1 - 0.9 - 0.1 is below 0
        forms = rng.choice(3, count, p=shares)
        texts, meanings = [], []
        for task, form in zip(tasks.tolist(), forms.tolist(), strict=True):
            others = changed.get(task, []) if form == _CHANGED else []
            text = others[rng.integers(len(others))] if others else questions[task]
            texts.append(paraphrase(text, rng) if form == _PARAPHRASED else text)
            meanings.append(text)
        paid = outcomes.latency_s[tasks, -1], outcomes.cost_usd[tasks, -1], outcomes.quality[tasks, -1]
        return cls(texts, tasks, forms, meanings, *paid)


def run_stream(stream: RequestStream, find: Find, add: Add) -> dict[str, float]:
    """Send a stream through a cache; return hit rates, false hits, seconds saved and quality lost.

    `find` takes a row of the stream and returns the answer or None, `add` takes a row. A false hit is an answer to a
    request that meant something else; its quality is 0. Hit rates are over all requests of their form, first ones
    included.
    """
    hit = np.zeros(len(stream.texts), dtype=bool)
    false, lookups = hit.copy(), np.zeros(len(stream.texts))
    for row in range(len(stream.texts)):
        started = time.perf_counter()
        found = find(row)
        lookups[row] = time.perf_counter() - started
        if found is None:
            add(row)
        else:
            hit[row], false[row] = True, found != stream.meanings[row]
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


def live_cache(stream: RequestStream, settings: CacheSettings) -> tuple[Find, Add]:
    """Return how the live cache, in memory, finds and adds the requests of a stream."""
    cache = AnswerCache(None, settings)
    tasks = [as_task(text, max_tokens=1) for text in stream.texts]

    def find(row: int) -> str | None:
        found = cache.find(tasks[row])
        return None if found is None else found.entry.answer

    def add(row: int) -> None:
        saved = float(stream.latency_s[row]), float(stream.cost_usd[row])
        cache.add(tasks[row], Entry(stream.meanings[row], "most expensive", "stop", *saved))
        cache.entries.flush()

    return find, add


def vector_cache(stream: RequestStream, encoder: Encoder, threshold: float) -> tuple[Find, Add]:
    """Return how a cache by vectors finds and adds the requests of a stream; the encoding is done beforehand."""
    vectors, cache = encoder.encode(stream.texts), VectorCache(threshold)
    return (
        lambda row: cache.find(vectors[row]),
        lambda row: cache.add(vectors[row], stream.meanings[row]),
    )


def stream_table(
    outcomes: OutcomeMatrix,
    encoder: Encoder,
    settings: StreamSettings,
    exponents: Sequence[float],
    thresholds: Sequence[float],
    *,
    seed: int,
) -> pd.DataFrame:
    """Return a row per Zipf exponent and cache: exact, vectors at each threshold, and the guarded semantic cache.

    Every exponent's stream is drawn from the same seed.
    """
    rows: list[dict[str, object]] = []
    for exponent in exponents:
        stream = RequestStream.draw(outcomes, settings, exponent, rng=np.random.default_rng(seed))
        caches = {"exact": live_cache(stream, CacheSettings(ttl=np.inf))}
        caches |= {f"vectors {one:g}": vector_cache(stream, encoder, one) for one in thresholds}
        caches["guarded"] = live_cache(stream, CacheSettings(ttl=np.inf, semantic=True))
        rows += [{"zipf": exponent, "cache": name} | run_stream(stream, *cache) for name, cache in caches.items()]
    return pd.DataFrame(rows)


def pair_frame(pairs: Sequence[TextPair], encoder: Encoder) -> pd.DataFrame:
    """Return a row per pair: group, kind, held_out, same, guarded (whether the guard lets it hit), similarity."""
    texts = sorted({text for pair in pairs for text in (pair.text, pair.other)})
    vectors = dict(zip(texts, encoder.encode(texts), strict=True))
    rows = [
        (pair.group, pair.kind, pair.held_out, pair.same, hits(pair), float(vectors[pair.text] @ vectors[pair.other]))
        for pair in pairs
    ]
    return pd.DataFrame(rows, columns=["group", "kind", "held_out", "same", "guarded", "similarity"])


def pair_table(pairs: pd.DataFrame, thresholds: Sequence[float]) -> pd.DataFrame:
    """Return the hit rates of each kind of pair: by vectors at each threshold, and by the guard (threshold NaN).

    The pairs that must not hit are also summed, all of them and those of held-out kinds. Intervals are exact 95 % ones
    (Clopper and Pearson 1934).
    """
    different = pairs[~pairs["same"]]
    sums = [different.assign(kind=_FORBIDDEN), different[different["held_out"]].assign(kind=f"{_FORBIDDEN}, held out")]
    rows = []
    for (kind, held_out), some in pd.concat([pairs, *sums]).groupby(["kind", "held_out"], sort=True):
        if kind != _FORBIDDEN:
            rows += _rates(str(kind), some, thresholds, held_out=bool(held_out))
    rows += _rates(_FORBIDDEN, sums[0], thresholds, held_out=False)
    table = pd.DataFrame(rows)
    count, tried = table["hits"].to_numpy(), table["pairs"].to_numpy()
    low = np.where(count > 0, beta.ppf(0.025, count, tried - count + 1), 0.0)
    high = np.where(count < tried, beta.ppf(0.975, count + 1, np.maximum(tried - count, 1)), 1.0)
    return table.assign(rate=count / tried, low=low, high=high)


def _rates(kind: str, some: pd.DataFrame, thresholds: Sequence[float], *, held_out: bool) -> list[dict[str, object]]:
    about = {"kind": kind, "held_out": held_out}
    similarity = some["similarity"].to_numpy()
    by_vectors = [
        about | {"threshold": one, "guarded": False, "hits": int((similarity >= one).sum()), "pairs": len(some)}
        for one in thresholds
    ]
    by_guard = {"threshold": np.nan, "guarded": True, "hits": int(some["guarded"].sum()), "pairs": len(some)}
    return [*by_vectors, about | by_guard]
