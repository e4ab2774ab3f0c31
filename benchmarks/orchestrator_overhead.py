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
from slm_orchestration.serving.cache.similarity import HashedNgrams
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
    encoder, rng = HashedNgrams(), np.random.default_rng(0)
    cache = AnswerCache(path, encoder, CacheSettings(ttl=np.inf, threshold=0.8, size=2 * entries))
    texts = [f"What is {a} times {b} plus {c}?" for a, b, c in rng.integers(1, 10**6, (entries, 3))]
    vectors = encoder.encode(texts)
    started = time.perf_counter()
    template = as_task("text", max_tokens=256)
    for text in texts:
        cache.add(_asking(template, text), "answer", "model", saved=(1.0, 1e-6))
    print(
        f"{'cache entry added, mean of ' + str(entries):<44}{(time.perf_counter() - started) / entries * 1e3:9.3f} ms"
    )
    drawn = rng.choice(entries, calls)
    scope = _scope_of(cache, template, texts[0])
    exact = [_asking(template, texts[row]) for row in drawn]
    near = [_asking(template, f"Please answer: {texts[row]}") for row in drawn]
    _one_at_a_time("exact hit", [lambda task=task: cache.find(task) for task in exact])
    words = [f"Please answer: {texts[row]}" for row in drawn]
    _one_at_a_time(
        "semantic lookup, without the encoding",
        [
            lambda row=row, text=text: cache.nearest(vectors[row], scope, text)
            for row, text in zip(drawn, words, strict=True)
        ],
    )
    _one_at_a_time("semantic hit, with hashed trigrams", [lambda task=task: cache.find(task) for task in near])
    cache.close()


def _asking(template: Task, text: str) -> Task:
    return as_task(text, max_tokens=template.max_tokens)


def _scope_of(cache: AnswerCache, template: Task, text: str) -> str:
    found = cache.find(_asking(template, text))
    assert found is not None
    entry: Entry = found.entry
    return entry.scope


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
