"""The cache: what hits, what must not, and when entries expire or are evicted."""

import pytest

from slm_orchestration.serving.cache.cache import AnswerCache, CacheSettings
from slm_orchestration.serving.cache.similarity import HashedNgrams
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
    "other",
    [
        "Is Alice not taller than Bob if Bob is 180 cm tall?",
        "Isn't Alice taller than Bob if Bob is 180 cm tall?",
        "Is Alice taller than Bob if Bob is 108 cm tall?",
        "Is Carol taller than Bob if Bob is 180 cm tall?",
        "Is Bob taller than Alice if Bob is 180 cm tall?",
        "Is Alice shorter than Bob if Bob is 180 cm tall?",
        "Is Alice taller than Bob if Bob is 180 cm wide?",
        "Is Alice taller than Bob if Bob is 180 cm tall + 1?",
    ],
)
def test_a_request_with_another_answer_does_not_hit_however_similar(other):
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
