"""The cache of answers: a request hits if it was asked before exactly, or in the same canonical form.

`answer_cached` answers tasks with a cache in front of the models.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from slm_orchestration.artifacts import cache_folder
from slm_orchestration.models.model import Model
from slm_orchestration.serving.cache.background import BackgroundEntries
from slm_orchestration.serving.cache.entries import Entry, EntryStore, wall_clock
from slm_orchestration.serving.cache.guard import canonical
from slm_orchestration.serving.execution import Runtime, answer
from slm_orchestration.serving.fit import FittedRouting
from slm_orchestration.serving.result import Decision, Result
from slm_orchestration.serving.settings import OrchestratorSettings
from slm_orchestration.tasks.task import Task

_LOG = logging.getLogger(__name__)
_WHOLE = ("stop", "choice")  # finish reasons of answers that are complete


@dataclass(frozen=True)
class CacheSettings:
    """How a cache behaves. `ttl` is in seconds, `size` in entries, `eviction` is "cost" or "lru".

    `semantic` also allows hits of requests whose canonical forms are equal (see guard.py). An answer is kept if a hit
    saves at least `min_saved_s` seconds, about what a lookup takes.
    """

    ttl: float = 3600.0
    size: int = 100_000
    eviction: str = "cost"
    semantic: bool = False
    min_saved_s: float = 0.005


@dataclass(frozen=True)
class Hit:
    """A cached answer; `kind` is "exact" or "semantic"."""

    entry: Entry
    kind: str


class AnswerCache:
    """Answers by request; safe for threads, and for processes that share `path`. Without a path it is in memory.

    No method raises because of the file, or waits for it: see background.py.
    """

    def __init__(self, path: Path | None, settings: CacheSettings, *, now: Callable[[], float] = wall_clock) -> None:
        self.settings = settings
        about = {"ttl": settings.ttl, "size": settings.size, "eviction": settings.eviction, "now": now}
        self.entries = BackgroundEntries(lambda: EntryStore(path, **about))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, task: Task, identity: str = "") -> Hit | None:
        """Return the answer to this request; `identity` names what else an answer depends on."""
        found = self.entries.exact(_key(task, task.messages, identity))
        kind = "exact"
        if found is None and self.settings.semantic:
            found, kind = self.entries.canonical(_key(task, canonical(task.messages), identity)), "semantic"
        if found is None:
            return None
        self.entries.use(found)
        return Hit(found, kind)

    def add(self, task: Task, entry: Entry, identity: str = "") -> None:
        """Keep an answer; it is written in the background."""
        form = _key(task, canonical(task.messages), identity) if self.settings.semantic else None
        self.entries.add(_key(task, task.messages, identity), form, entry)

    def not_kept(self, result: Result) -> str | None:
        """Return why an answer is not to be kept, or None if it is."""
        if result.finish_reason not in _WHOLE:
            return f"the answer is not whole (finish reason {result.finish_reason})"
        if not (result.output or "").strip():
            return "the answer is empty"
        if result.latency_s < self.settings.min_saved_s:
            return f"a hit would save less than {self.settings.min_saved_s * 1e3:g} ms"
        return None

    def close(self) -> None:
        """Write what is still to be written, for a few seconds at most, and close the file."""
        self.entries.close()


def pool_identity(models: Sequence[Model], fitted: FittedRouting, settings: OrchestratorSettings) -> str:
    """Return a digest of what an answer depends on besides its request: weights, dtype, endpoint, sampling, routing.

    Settings of the cache itself and of concurrency do not count.
    """
    apart = ("cache_", "false_hit_budget", "max_concurrent_tasks", "pause_s", "rounds")
    configured = {key: value for key, value in asdict(settings).items() if not key.startswith(apart)}
    about = [[(model.name, model.identity()) for model in models], fitted.rule, configured]
    return _digest([*about, {name: repr(one) for name, one in fitted.sample_settings.items()}])


def open_cache(fitted: FittedRouting, settings: OrchestratorSettings) -> AnswerCache:
    """Return the configured cache; its file may be shared with other processes."""
    path: Path | None = cache_folder() / "answers.db"
    if settings.cache_path is not None:
        path = None if settings.cache_path == ":memory:" else Path(settings.cache_path)
    certificate = fitted.semantic_cache
    if certificate is not None:
        served = "semantic hits are served" if certificate.granted else "only exact hits are served"
        _LOG.warning("%s; the semantic cache is %s", served, certificate)
    cache_settings = CacheSettings(
        ttl=settings.cache_ttl,
        size=settings.cache_size,
        eviction=settings.cache_eviction,
        semantic=certificate is not None and certificate.granted,
    )
    return AnswerCache(path, cache_settings)


def cached_result(task: Task, fitted: FittedRouting, cache: AnswerCache, identity: str) -> Result | None:
    """Return the result of a task that is cached."""
    started = time.perf_counter()
    hit = cache.find(task, identity)
    return None if hit is None else _result(hit, time.perf_counter() - started, fitted)


def answer_cached(tasks: Sequence[Task], runtime: Runtime, cache: AnswerCache, identity: str) -> list[Result]:
    """Return one result per task, in order, and keep the new answers that are whole; errors are never kept."""
    results = [cached_result(task, runtime.fitted, cache, identity) for task in tasks]
    missing = [place for place, result in enumerate(results) if result is None]
    for place, result in zip(missing, answer([tasks[place] for place in missing], runtime), strict=True):
        results[place] = _keep(tasks[place], result, cache, identity)
    return [result for result in results if result is not None]


def _keep(task: Task, result: Result, cache: AnswerCache, identity: str) -> Result:
    """Keep the answer, or say in the decision why not."""
    if result.output is None or result.model is None:
        return result
    if (reason := cache.not_kept(result)) is not None:
        return replace(result, decision=replace(result.decision, not_kept=reason))
    saved = result.latency_s, result.cost_usd
    cache.add(task, Entry(result.output, result.model, str(result.finish_reason), *saved), identity)
    return result


def _key(task: Task, messages: Sequence[Mapping[str, str]], identity: str) -> str:
    """Return the digest of the whole request, its messages in order, and the identity."""
    return _digest([list(messages), task.choices, task.max_tokens, task.domain, task.dataset, identity])


def _digest(content: object) -> str:
    # JSON in ASCII can hold any text, also one that UTF-8 cannot.
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _result(hit: Hit, seconds: float, fitted: FittedRouting) -> Result:
    entry = hit.entry
    decision = Decision(
        rule=f"{hit.kind} hit: {entry.model} answered this before",
        model=entry.model,
        cache=hit.kind,
        routing_s=seconds,
    )
    cost_usd = seconds * fitted.router_usd_per_s
    return Result(entry.answer, entry.model, cost_usd, seconds, decision, finish_reason=entry.finish_reason)
