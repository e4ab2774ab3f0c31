"""The cache: what hits, what must not, when entries expire or are evicted, and how processes share it."""

import multiprocessing
import sqlite3
import threading

import pytest

from slm_orchestration.serving.cache.cache import AnswerCache, CacheSettings
from slm_orchestration.serving.cache.similarity import HashedNgrams, difference
from slm_orchestration.serving.orchestrator import as_task
from tests.serving.by_hand import SMALL, orchestrator, scripted

QUESTION = "Is Alice taller than Bob if Bob is 180 cm tall?"


def task(text):
    return as_task(text, max_tokens=8)


class Clock:
    def __init__(self):
        self.time = 1000.0

    def __call__(self):
        return self.time


def cache(path=None, now=None, **settings):
    asked = CacheSettings(**({"threshold": 0.6} | settings))
    return AnswerCache(path, HashedNgrams(), asked, now=now or Clock())


def test_the_same_request_hits_exactly_and_a_paraphrase_by_similarity():
    with_answer = cache()
    assert with_answer.add(task(QUESTION), "yes", "m", saved=(1.0, 1e-6))
    exact, near = with_answer.find(task(QUESTION)), with_answer.find(task(f"Please answer: {QUESTION} Thanks!"))
    assert (exact.kind, exact.similarity, exact.entry.answer) == ("exact", 1.0, "yes")
    assert (near.kind, near.entry.answer) == ("semantic", "yes")
    assert 0.6 < near.similarity < 1


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ("Is Alice not taller than Bob if Bob is 180 cm tall?", "negations"),
        ("Isn't Alice taller than Bob if Bob is 180 cm tall?", "negations"),
        ("Is Alice taller than Bob if Bob is 108 cm tall?", "numbers"),
        ("Is Carol taller than Bob if Bob is 180 cm tall?", "names"),
        ("Is Bob taller than Alice if Bob is 180 cm tall?", "order"),
        ("Is Alice shorter than Bob if Bob is 180 cm tall?", "antonyms"),
        ("Is Alice taller than Bob if Bob is 180 cm wide?", "words"),
        ("Is Alice taller than Bob if Bob is 180 cm tall + 1?", "numbers"),
    ],
)
def test_a_request_with_another_answer_does_not_hit_however_similar(other, why):
    assert difference(QUESTION, other) == why
    with_answer = cache(threshold=0.0)
    with_answer.add(task(QUESTION), "yes", "m", saved=(1.0, 1e-6))
    assert with_answer.find(task(other)) is None
    unguarded = cache(threshold=0.5, guarded=False)
    unguarded.add(task(QUESTION), "yes", "m", saved=(1.0, 1e-6))
    assert unguarded.find(task(other)) is not None


def test_another_system_message_or_another_pool_is_another_scope():
    def said(system):
        return as_task([{"role": "system", "content": system}, {"role": "user", "content": QUESTION}], max_tokens=8)

    with_answer = cache()
    with_answer.add(said("Be brief."), "yes", "m", saved=(1.0, 1e-6), context="pool 1")
    assert with_answer.find(said("Be brief."), "pool 1") is not None
    assert with_answer.find(said("Explain."), "pool 1") is None
    assert with_answer.find(said("Be brief."), "pool 2") is None


def test_an_entry_expires_after_its_time_to_live():
    clock = Clock()
    short = cache(now=clock, ttl=10.0)
    short.add(task(QUESTION), "yes", "m", saved=(1.0, 1e-6))
    clock.time += 9.9
    assert short.find(task(QUESTION)) is not None
    clock.time += 0.2
    assert short.find(task(QUESTION)) is None
    assert short.find(task(f"Please answer: {QUESTION}")) is None


def test_an_answer_that_saves_less_than_a_lookup_takes_is_not_admitted():
    assert not cache().add(task(QUESTION), "yes", "m", saved=(0.001, 1e-6))


def test_lru_evicts_what_was_not_used_and_cost_what_was_cheap():
    for eviction, kept in (("lru", ["dear", "new"]), ("cost", ["dear", "used"])):
        clock = Clock()
        full = cache(now=clock, size=2, eviction=eviction, threshold=None)
        for text, seconds in (("used", 5.0), ("dear", 9.0), ("new", 1.0)):
            clock.time += 1
            full.add(task(text), text, "m", saved=(seconds, 1e-6))
            if text == "dear":
                clock.time += 1
                full.find(task("dear"))
        alive = [text for text in ("dear", "new", "used") if full.find(task(text)) is not None]
        assert alive == kept, eviction
        assert len(full) == 2


def _fill(path, start):
    shared = cache(path)
    for number in range(start, start + 25):
        shared.add(task(f"What is the square of {number}?"), str(number**2), "m", saved=(1.0, 1e-6))
    shared.close()


def test_processes_share_a_file_and_find_each_others_entries(tmp_path):
    path = tmp_path / "answers.db"
    first = cache(path)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_fill, args=(path, 100 * worker)) for worker in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(first) == 50
    assert first.find(task("Please answer: What is the square of 124?")).entry.answer == str(124**2)
    first.close()
    again = cache(path)
    assert again.find(task("What is the square of 7?")).entry.answer == "49"


def test_hits_are_counted_in_memory_and_written_with_the_next_entry_or_on_close(tmp_path):
    path = tmp_path / "answers.db"
    counted = cache(path, threshold=None)
    counted.add(task("dear"), "a", "m", saved=(9.0, 1e-6))

    def uses():
        return sqlite3.connect(path).execute("SELECT uses, priority FROM entries WHERE text = 'dear'").fetchone()

    for _ in range(3):
        counted.find(task("dear"))
    assert uses() == (1, 9.0)
    counted.add(task("cheap"), "b", "m", saved=(1.0, 1e-6))
    assert uses() == (4, 36.0)
    counted.find(task("dear"))
    counted.close()
    assert uses() == (5, 45.0)


def test_a_hit_waits_for_no_writer(tmp_path):
    path = tmp_path / "answers.db"
    waiting = cache(path, threshold=None)
    waiting.add(task("known"), "a", "m", saved=(9.0, 1e-6))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    found = []
    thread = threading.Thread(target=lambda: found.append(waiting.find(task("known"))), daemon=True)
    thread.start()
    thread.join(5)  # half of what sqlite would wait for the lock
    assert found and found[0].entry.answer == "a"
    other.execute("ROLLBACK")


def test_a_file_that_is_no_cache_is_named(tmp_path):
    (tmp_path / "broken.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(ValueError, match=r"broken\.db: not a cache that can be read"):
        cache(tmp_path / "broken.db")


def test_the_orchestrator_answers_a_repeat_from_the_cache_and_calls_no_model(records, tmp_path):
    config = {
        "cache_enabled": True,
        "cache_threshold": 0.7,
        "cache_path": str(tmp_path / "a.db"),
        "routing_threshold": 1,
    }
    models = scripted()

    def slow(model, tasks, *, seed):
        import time

        time.sleep(0.01)
        return model.complete(tasks, seed=seed)

    with orchestrator(records, models, config, slow) as running:
        first = running.process_task(QUESTION)
        again, near = running.process_batch([QUESTION, f"Please answer: {QUESTION}"])
    assert (first.decision.cache, again.decision.cache, near.decision.cache) == (None, "exact", "semantic")
    assert again.output == near.output == first.output
    assert len(models[SMALL].calls) == 1
    assert again.cost_usd < first.cost_usd
    assert "exact hit" in again.decision.rule
