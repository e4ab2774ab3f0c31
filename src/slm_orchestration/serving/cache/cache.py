"""The cache of answers: exact, and semantic where a vector is near enough and a rule on words finds no difference."""

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
from slm_orchestration.serving.cache.entries import Entries, Entry, wall_clock
from slm_orchestration.serving.cache.similarity import Encoder, VectorIndex, difference, encoder_named
from slm_orchestration.serving.execution import Equipment, answer
from slm_orchestration.serving.fit import Fitted
from slm_orchestration.serving.result import Decision, Result
from slm_orchestration.serving.settings import Settings
from slm_orchestration.tasks.task import Task

_NEIGHBOURS = 4  # nearest entries that are looked at; the nearest may be of another scope


@dataclass(frozen=True)
class CacheSettings:
    """How a cache behaves. `threshold` is the least cosine of a semantic hit: None for exact hits only.

    `guarded` refuses semantic hits between texts that differ in numbers, names, negations or order. An answer is
    admitted if a hit saves at least `least_saved_s` seconds: below that, looking it up is no faster than asking.
    """

    ttl: float = 3600.0
    size: int = 100_000
    eviction: str = "cost"
    threshold: float | None = None
    guarded: bool = True
    least_saved_s: float = 0.005


@dataclass(frozen=True)
class Hit:
    """A cached answer; `kind` is exact or semantic, `similarity` the cosine of the two texts."""

    entry: Entry
    kind: str
    similarity: float


class AnswerCache:
    """Answers by request. Safe for threads, and for processes that share `path`; in memory without a path."""

    def __init__(
        self, path: Path | None, encoder: Encoder, settings: CacheSettings, *, now: Callable[[], float] = wall_clock
    ) -> None:
        self.settings, self._encoder, self._now = settings, encoder, now
        self._entries = Entries(path, ttl=settings.ttl, size=settings.size, eviction=settings.eviction, now=now)
        self._index = VectorIndex(encoder.dimensions)
        self._seen, self._version = 0, -1
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, task: Task, about: str = "") -> Hit | None:
        """Return the answer to this task, or to one that asks the same; `about` is what else an answer depends on."""
        if (hit := self.exact(task, about)) is not None or self.settings.threshold is None:
            return hit
        scope, text = _scope(task, about), _text(task)
        hit = self.nearest(self._encoder.encode([text])[0], scope, text)
        if hit is not None:
            self._entries.use(hit.entry)
        return hit

    def exact(self, task: Task, about: str = "") -> Hit | None:
        """Return the answer to exactly this task; takes microseconds and waits for nobody who writes."""
        entry = self._entries.exact(_exact(_scope(task, about), _text(task)))
        if entry is None:
            return None
        self._entries.use(entry)
        return Hit(entry, "exact", 1.0)

    def nearest(self, vector: NDArray[np.float32], scope: str, text: str) -> Hit | None:
        """Return the nearest entry of `scope` that is near enough and no different; the vector is that of `text`."""
        with self._lock:
            self._catch_up()
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

    def add(self, task: Task, answer: str, model: str, *, saved: tuple[float, float], about: str = "") -> bool:
        """Keep an answer if a hit would save enough; `saved` is in seconds and dollars. Return whether it was kept."""
        if saved[0] < self.settings.least_saved_s:
            return False
        scope, text = _scope(task, about), _text(task)
        entry = Entry(0, scope, text, answer, model, *saved, self._now())
        vector = None if self.settings.threshold is None else self._encoder.encode([text])[0]
        added, gone = self._entries.add(_exact(scope, text), entry, vector)
        with self._lock:
            if vector is not None and added == self._seen + 1:
                self._index.add([added], vector[None])
                self._seen = added
            elif vector is not None:
                self._catch_up(always=True)
            for number in gone:
                self._index.remove(number)
        return True

    def close(self) -> None:
        """Close the file."""
        self._entries.close()

    def _catch_up(self, *, always: bool = False) -> None:
        """Take over what other processes, or an earlier one, have added. Entries that are gone show when looked up."""
        version = self._entries.version()
        if version == self._version and not always:
            return
        fresh = self._entries.added_after(self._seen, self._encoder.dimensions)
        if fresh:
            self._index.add([number for number, _ in fresh], np.array([vector for _, vector in fresh]))
            self._seen = fresh[-1][0]
        self._version = version


def _text(task: Task) -> str:
    return next((message["content"] for message in reversed(task.messages) if message["role"] == "user"), task.question)


def _scope(task: Task, about: str) -> str:
    """Return what must be equal for an answer to serve: all but the last thing that the user said."""
    last = max((place for place, message in enumerate(task.messages) if message["role"] == "user"), default=-1)
    rest = [message for place, message in enumerate(task.messages) if place != last]
    said = json.dumps([rest, task.choices, task.max_tokens, about], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _exact(scope: str, text: str) -> str:
    return hashlib.sha256(f"{scope}\n{text}".encode()).hexdigest()


# ========== Answering tasks with a cache in front of the models.
def opened(fitted: Fitted, settings: Settings) -> AnswerCache:
    """Return the cache that the settings ask for, of a file that other processes may share."""
    path: Path | None = cache_folder() / f"answers-{settings.cache_encoder}.db"
    if settings.cache_path is not None:
        path = None if settings.cache_path == ":memory:" else Path(settings.cache_path)
    asked = CacheSettings(
        ttl=settings.cache_ttl,
        size=settings.cache_size,
        eviction=settings.cache_eviction,
        threshold=fitted.cache_threshold,
    )
    return AnswerCache(path, encoder_named(settings.cache_encoder), asked)


def exact_hit(task: Task, fitted: Fitted, settings: Settings, cache: AnswerCache) -> Result | None:
    """Return the result of exactly this task if it is cached."""
    started = time.perf_counter()
    hit = cache.exact(task, _about(fitted, settings))
    return None if hit is None else _of(hit, time.perf_counter() - started, fitted)


def answer_cached(tasks: Sequence[Task], equipment: Equipment, cache: AnswerCache) -> list[Result]:
    """Return one result per task, in order; answers that are not cached are asked for and kept. Errors never are."""
    about = _about(equipment.fitted, equipment.settings)
    results: list[Result | None] = []
    for task in tasks:
        started = time.perf_counter()
        hit = cache.find(task, about)
        results.append(None if hit is None else _of(hit, time.perf_counter() - started, equipment.fitted))
    missing = [place for place, result in enumerate(results) if result is None]
    for place, result in zip(missing, answer([tasks[place] for place in missing], equipment), strict=True):
        results[place] = result
        if result.output is not None and result.model is not None and not result.decision.warnings:
            saved = result.latency_s, result.cost_usd
            cache.add(tasks[place], result.output, result.model, saved=saved, about=about)
    return [result for result in results if result is not None]


def _about(fitted: Fitted, settings: Settings) -> str:
    return repr((fitted.rule, fitted.models, settings.models, settings.seed))


def _of(hit: Hit, seconds: float, fitted: Fitted) -> Result:
    decision = Decision(
        rule=f"{hit.kind} hit: {hit.entry.model} answered this before",
        model=hit.entry.model,
        cache=hit.kind,
        similarity=hit.similarity,
        routing_s=seconds,
    )
    return Result(hit.entry.answer, hit.entry.model, seconds * fitted.router_usd_per_s, seconds, decision)
