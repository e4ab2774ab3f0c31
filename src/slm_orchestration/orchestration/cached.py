"""Answering tasks with a cache in front of the models."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from slm_orchestration.artifacts import cache_folder
from slm_orchestration.orchestration.cache import AnswerCache, CacheSettings, Hit
from slm_orchestration.orchestration.cache_vectors import encoder_named
from slm_orchestration.orchestration.execution import Equipment, answer
from slm_orchestration.orchestration.fitted import Fitted
from slm_orchestration.orchestration.result import Decision, Result
from slm_orchestration.orchestration.settings import Settings
from slm_orchestration.tasks.task import Task


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
