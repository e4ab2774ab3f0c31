"""Measure the orchestrator's own overhead: decisions and cache lookups, one at a time and in batches.

    python benchmarks/orchestrator_overhead.py

No model is called. The embedding of a text, its task analysis and latent semantics, is computed once per request and
cached while the request is routed; decisions are timed with and without it. Needs the tasks of medium and
the committed outcomes; run it while nothing else runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from slm_orchestration import tables
from slm_orchestration.serving.cache.cache import AnswerCache, CacheSettings
from slm_orchestration.serving.cache.entries import Entry
from slm_orchestration.serving.fit import FittedRouting, fit_once, records
from slm_orchestration.serving.orchestrator import as_task
from slm_orchestration.serving.pool import packaged_pool
from slm_orchestration.serving.selection import Progress, TaskLimits, select
from slm_orchestration.serving.settings import OrchestratorSettings
from slm_orchestration.tasks.task import Task, from_table


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000, help="entries of the cache (default: 100000)")
    parser.add_argument("--calls", type=int, default=500, help="calls of each kind, one at a time (default: 500)")
    arguments = parser.parse_args()
    where, pool, settings = records(None, None), packaged_pool(), OrchestratorSettings()
    started = time.perf_counter()
    ready = fit_once(pool, where, settings)
    print(f"{'fit at the start':<44}{(time.perf_counter() - started) * 1e3:9.2f} ms")
    tasks = from_table(tables.read(where.tasks, tables.TASKS))
    _decisions(ready, tasks, arguments.calls)
    with tempfile.TemporaryDirectory() as folder:
        _cache(Path(folder) / "answers.db", arguments.entries, arguments.calls)


def _decisions(ready: FittedRouting, tasks: list[Task], calls: int) -> None:
    def decide(some: list[Task]) -> None:
        questions = [task.question for task in some]
        progress = Progress(ready.models, questions, *ready.expectation.before_call(some))
        select(ready.strategy, ready.threshold, progress, TaskLimits())

    numbers = iter(range(10**9))

    def new(count: int) -> list[Task]:
        """Return tasks with new texts, whose embeddings are not cached."""
        return [_with_new_text(tasks[number % len(tasks)], number) for number in islice(numbers, count)]

    fresh = new(calls)
    analyse = ready.domain_classifier.analyse
    _one_at_a_time("task analysis of a new text", [lambda task=task: analyse([task.question]) for task in new(calls)])
    _one_at_a_time("decision on a new text", [lambda task=task: decide([task]) for task in fresh])
    _one_at_a_time("decision without the embedding", [lambda task=task: decide([task]) for task in fresh])
    for size in (100, 1000):
        _batched(f"decisions on new texts, batches of {size}", lambda size=size: decide(new(size)), size)
        known = new(size)
        _batched(f"decisions without the embedding, of {size}", lambda known=known: decide(known), size)


def _with_new_text(task: Task, number: int) -> Task:
    question = f"{task.question} (request {number})"
    return replace(task, question=question, messages=[{"role": "user", "content": question}])


def _cache(path: Path, entries: int, calls: int) -> None:
    rng = np.random.default_rng(0)
    cache = AnswerCache(path, CacheSettings(ttl=np.inf, semantic=True, size=2 * entries))
    texts = [f"What is {a} times {b} plus {c}?" for a, b, c in rng.integers(1, 10**6, (entries, 3))]
    kept = Entry("answer", "model", "stop", 1.0, 1e-6)
    started = time.perf_counter()
    for number, text in enumerate(texts):
        cache.add(as_task(text, max_tokens=256), kept)
        if number % 500 == 0:
            cache.entries.flush(60)  # a waiting list that is full would drop entries
    cache.entries.flush(60)
    each = (time.perf_counter() - started) / entries
    print(f"{'cache entry added, mean of ' + str(entries):<44}{each * 1e3:9.3f} ms")
    drawn = [texts[row] for row in rng.choice(entries, calls)]
    exact = [as_task(text, max_tokens=256) for text in drawn]
    near = [as_task(f"Hello, {text}", max_tokens=256) for text in drawn]
    new = [as_task(f"{text} And why?", max_tokens=256) for text in drawn]
    for what, tasks in (("exact hit", exact), ("semantic hit", near), ("miss", new)):
        _one_at_a_time(what, [lambda task=task: cache.find(task) for task in tasks])
    cache.close()


def _one_at_a_time(what: str, calls: list[Callable[[], object]]) -> None:
    for call in calls[:20]:
        call()
    seconds = []
    for call in calls:
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    p50, p99 = np.quantile(seconds, [0.5, 0.99]) * 1e3
    print(f"{what:<44}{p50:9.3f} ms p50{p99:10.3f} ms p99   ({len(calls)} calls)")


def _batched(what: str, call: Callable[[], object], size: int) -> None:
    call()
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    print(f"{what:<44}{np.median(seconds) / size * 1e3:9.4f} ms each{size / np.median(seconds):10.0f} a second")


if __name__ == "__main__":
    main()
