"""The cache of answers: exact hits, and semantic hits where texts are similar and a rule on words finds no difference.

`answer_cached` answers tasks with a cache in front of the models.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.artifacts import cache_folder
from slm_orchestration.serving.cache.entries import Entry, EntryStore, wall_clock
from slm_orchestration.serving.cache.similarity import Encoder, VectorIndex, difference, encoder_named
from slm_orchestration.serving.execution import Runtime, answer
from slm_orchestration.serving.fit import FittedRouting
from slm_orchestration.serving.result import Decision, Result
from slm_orchestration.serving.settings import OrchestratorSettings
from slm_orchestration.tasks.task import Task

_NEIGHBOURS = 4  # entries that are looked at, since the nearest may be in another scope


@dataclass(frozen=True)
class CacheSettings:
    """How a cache behaves. `ttl` is in seconds, `size` in entries, `eviction` is "cost" or "lru".

    `threshold` is the least cosine of a semantic hit; None allows exact hits only. `guarded` refuses semantic hits
    between texts that differ in numbers, names, negations or order. An answer is admitted if a hit saves at least
    `min_saved_s` seconds, context what a lookup takes.
    """

    ttl: float = 3600.0
    size: int = 100_000
    eviction: str = "cost"
    threshold: float | None = None
    guarded: bool = True
    min_saved_s: float = 0.005


@dataclass(frozen=True)
class Hit:
    """A cached answer; `kind` is "exact" or "semantic", `similarity` the cosine of the two texts."""

    entry: Entry
    kind: str
    similarity: float


class AnswerCache:
    """Answers by request; safe for threads, and for processes that share `path`. Without a path it is in memory."""

    def __init__(
        self, path: Path | None, encoder: Encoder, settings: CacheSettings, *, now: Callable[[], float] = wall_clock
    ) -> None:
        self.settings, self._encoder, self._now = settings, encoder, now
        self._entries = EntryStore(path, ttl=settings.ttl, size=settings.size, eviction=settings.eviction, now=now)
        self._index = VectorIndex(encoder.dimensions)
        self._last_id, self._version = 0, -1
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, task: Task, context: str = "") -> Hit | None:
        """Return the answer to this task or to an equivalent one; `context` names what else the answer depends on."""
        if (hit := self.exact(task, context)) is not None or self.settings.threshold is None:
            return hit
        scope, text = _scope(task, context), _text(task)
        hit = self.nearest(self._encoder.encode([text])[0], scope, text)
        if hit is not None:
            self._entries.use(hit.entry)
        return hit

    def exact(self, task: Task, context: str = "") -> Hit | None:
        """Return the answer to exactly this task; takes microseconds and waits for no writer."""
        entry = self._entries.exact(_exact_key(_scope(task, context), _text(task)))
        if entry is None:
            return None
        self._entries.use(entry)
        return Hit(entry, "exact", 1.0)

    def nearest(self, vector: NDArray[np.float32], scope: str, text: str) -> Hit | None:
        """Return the nearest entry of `scope` that passes the threshold and the guard; `vector` encodes `text`."""
        with self._lock:
            self._sync_index()
            found = self._index.nearest(vector, _NEIGHBOURS)
        for number, similarity in found:
            if self.settings.threshold is None or similarity < self.settings.threshold:
                break
            entry = self._entries.by_id(number)
            if entry is None:
                with self._lock:
                    self._index.remove(number)
            elif entry.scope == scope and not (self.settings.guarded and difference(text, entry.text)):
                return Hit(entry, "semantic", similarity)
        return None

    def add(self, task: Task, answer: str, model: str, *, saved: tuple[float, float], context: str = "") -> bool:
        """Add an answer if a hit saves enough seconds; `saved` is (seconds, dollars). Return whether it was added."""
        if saved[0] < self.settings.min_saved_s:
            return False
        scope, text = _scope(task, context), _text(task)
        entry = Entry(0, scope, text, answer, model, *saved, self._now())
        vector = None if self.settings.threshold is None else self._encoder.encode([text])[0]
        added, evicted = self._entries.add(_exact_key(scope, text), entry, vector)
        with self._lock:
            if vector is not None and added == self._last_id + 1:
                self._index.add([added], vector[None])
                self._last_id = added
            elif vector is not None:
                self._sync_index(always=True)
            for number in evicted:
                self._index.remove(number)
        return True

    def close(self) -> None:
        """Close the file."""
        self._entries.close()

    def _sync_index(self, *, always: bool = False) -> None:
        """Index the entries that other processes added. Evicted entries are removed when a lookup finds them."""
        version = self._entries.version()
        if version == self._version and not always:
            return
        fresh = self._entries.added_after(self._last_id, self._encoder.dimensions)
        if fresh:
            self._index.add([number for number, _ in fresh], np.array([vector for _, vector in fresh]))
            self._last_id = fresh[-1][0]
        self._version = version


def _text(task: Task) -> str:
    return next((message["content"] for message in reversed(task.messages) if message["role"] == "user"), task.question)


def _scope(task: Task, context: str) -> str:
    """Return the digest of all that must be equal for a hit: everything but the user's last message."""
    last = max((place for place, message in enumerate(task.messages) if message["role"] == "user"), default=-1)
    rest = [message for place, message in enumerate(task.messages) if place != last]
    content = json.dumps([rest, task.choices, task.max_tokens, context], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _exact_key(scope: str, text: str) -> str:
    return hashlib.sha256(f"{scope}\n{text}".encode()).hexdigest()


def open_cache(fitted: FittedRouting, settings: OrchestratorSettings) -> AnswerCache:
    """Return the configured cache; its file may be shared with other processes."""
    path: Path | None = cache_folder() / f"answers-{settings.cache_encoder}.db"
    if settings.cache_path is not None:
        path = None if settings.cache_path == ":memory:" else Path(settings.cache_path)
    cache_settings = CacheSettings(
        ttl=settings.cache_ttl,
        size=settings.cache_size,
        eviction=settings.cache_eviction,
        threshold=fitted.cache_threshold,
    )
    return AnswerCache(path, encoder_named(settings.cache_encoder), cache_settings)


def exact_hit(task: Task, fitted: FittedRouting, settings: OrchestratorSettings, cache: AnswerCache) -> Result | None:
    """Return the result of exactly this task if it is cached."""
    started = time.perf_counter()
    hit = cache.exact(task, _context(fitted, settings))
    return None if hit is None else _result(hit, time.perf_counter() - started, fitted)


def answer_cached(tasks: Sequence[Task], runtime: Runtime, cache: AnswerCache) -> list[Result]:
    """Return one result per task, in order, and cache the new answers; errors are never cached."""
    context = _context(runtime.fitted, runtime.settings)
    results: list[Result | None] = []
    for task in tasks:
        started = time.perf_counter()
        hit = cache.find(task, context)
        results.append(None if hit is None else _result(hit, time.perf_counter() - started, runtime.fitted))
    missing = [place for place, result in enumerate(results) if result is None]
    for place, result in zip(missing, answer([tasks[place] for place in missing], runtime), strict=True):
        results[place] = result
        if result.output is not None and result.model is not None and not result.decision.warnings:
            saved = result.latency_s, result.cost_usd
            cache.add(tasks[place], result.output, result.model, saved=saved, context=context)
    return [result for result in results if result is not None]


def _context(fitted: FittedRouting, settings: OrchestratorSettings) -> str:
    return repr((fitted.rule, fitted.models, settings.models, settings.seed))


def _result(hit: Hit, seconds: float, fitted: FittedRouting) -> Result:
    decision = Decision(
        rule=f"{hit.kind} hit: {hit.entry.model} answered this before",
        model=hit.entry.model,
        cache=hit.kind,
        similarity=hit.similarity,
        routing_s=seconds,
    )
    return Result(hit.entry.answer, hit.entry.model, seconds * fitted.router_usd_per_s, seconds, decision)
