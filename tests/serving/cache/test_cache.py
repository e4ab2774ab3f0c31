"""The cache: what hits, what must not, and when entries expire or are evicted."""

import pytest

from slm_orchestration.models.model import Completion
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.serving.cache.cache import AnswerCache, CacheSettings, pool_identity
from slm_orchestration.serving.cache.entries import Entry
from slm_orchestration.serving.orchestrator import RequestOptions, as_task
from tests.serving.by_hand import LARGE, SMALL, orchestrator, scripted, slow

QUESTION = "What is the height of the old tower?"
CONFIG = {"cache_enabled": True, "routing_threshold": 1}


def task(text):
    return as_task(text, max_tokens=8)


def entry(answer, *, saves_s=1.0):
    return Entry(answer, "m", "stop", saves_s, 1e-6)


class Clock:
    def __init__(self):
        self.time = 1000.0

    def __call__(self):
        return self.time


def cache(path=None, now=None, **settings):
    return AnswerCache(path, CacheSettings(**({"semantic": True} | settings)), now=now or Clock())


def put(one, text, kept, identity=""):
    one.add(text if not isinstance(text, str) else task(text), kept, identity)
    one.entries.flush()


def test_the_same_request_hits_exactly_and_a_polite_one_semantically_where_that_is_asked_for():
    with_answer, exact_only = cache(), cache(semantic=False)
    for one in (with_answer, exact_only):
        put(one, QUESTION, entry("30 m"))
    exact, near = with_answer.find(task(QUESTION)), with_answer.find(task(f"Hello, {QUESTION}"))
    assert (exact.kind, exact.entry.answer, near.kind, near.entry.answer) == ("exact", "30 m", "semantic", "30 m")
    assert exact_only.find(task(QUESTION)).kind == "exact"
    assert exact_only.find(task(f"Hello, {QUESTION}")) is None
    assert not CacheSettings().semantic


def test_the_key_is_the_whole_request_in_order_and_the_identity():
    first = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    end = [{"role": "user", "content": QUESTION}]
    asked = as_task(first + end, max_tokens=8)
    one = cache()
    put(one, asked, entry("yes"), "pool 1")
    assert one.find(asked, "pool 1") is not None
    assert one.find(asked, "pool 2") is None
    assert one.find(as_task(first[::-1] + end, max_tokens=8), "pool 1") is None
    assert one.find(as_task(end + first, max_tokens=8), "pool 1") is None
    assert one.find(as_task(end, max_tokens=8), "pool 1") is None
    assert one.find(as_task(first + end, max_tokens=9), "pool 1") is None
    other = [{"role": "system", "content": "a"}, *first[1:]]
    assert one.find(as_task(other + end, max_tokens=8), "pool 1") is None


def test_an_entry_expires_after_its_time_to_live():
    clock = Clock()
    short = cache(now=clock, ttl=10.0)
    put(short, QUESTION, entry("yes"))
    clock.time += 9.9
    assert short.find(task(QUESTION)) is not None
    clock.time += 0.2
    assert short.find(task(QUESTION)) is None
    assert short.find(task(f"Hello, {QUESTION}")) is None


def test_lru_evicts_what_was_not_used_and_cost_what_was_cheap():
    for eviction, kept in (("lru", ["dear", "new"]), ("cost", ["dear", "used"])):
        clock = Clock()
        full = cache(now=clock, size=2, eviction=eviction)
        for text, seconds in (("used", 5.0), ("dear", 9.0), ("new", 1.0)):
            clock.time += 1
            put(full, text, entry(text, saves_s=seconds))
            if text == "dear":
                clock.time += 1
                full.find(task("dear"))
        alive = [text for text in ("dear", "new", "used") if full.find(task(text)) is not None]
        assert alive == kept, eviction
        assert len(full) == 2


def test_the_orchestrator_answers_a_repeat_from_the_cache_and_calls_no_model(records, tmp_path):
    models = scripted()
    with orchestrator(records, models, CONFIG | {"cache_path": str(tmp_path / "a.db")}, slow) as running:
        first = running.process_task(QUESTION)
        again, near = running.process_batch([QUESTION, f"Hello, {QUESTION}"])
    # semantic hits have to be asked for
    assert (first.decision.cache, again.decision.cache, near.decision.cache) == (None, "exact", None)
    assert again.output == first.output
    assert len(models[SMALL].calls) == 2
    assert again.cost_usd < first.cost_usd
    assert "exact hit" in again.decision.rule


def test_semantic_hits_are_served_only_under_a_certificate_and_its_budget_is_said(records, caplog):
    semantic = CONFIG | {"cache_path": ":memory:", "cache_semantic": True}
    for budget, said, kind in ((0.5, "semantic hits are served", "semantic"), (1e-6, "only exact hits", None)):
        caplog.clear()
        with orchestrator(records, scripted(), semantic | {"false_hit_budget": budget}, slow) as running:
            running.process_task(QUESTION)
            running._cache.entries.flush()
            assert running.process_task(f"Hello, {QUESTION}").decision.cache == kind
        assert said in caplog.text and "false hits with probability 95%" in caplog.text


def test_an_answer_cut_at_its_limit_is_not_kept_and_the_decision_says_why(records):
    class Cut(ScriptedModel):
        def _completion(self, task, prompt_tokens):
            return Completion("half an ans", prompt_tokens, 3, 0.0, {}, "length")

    models = {name: Cut(name) for name in scripted()}
    with orchestrator(records, models, CONFIG | {"cache_path": ":memory:"}, slow) as running:
        first, again = running.process_task(QUESTION), running.process_task(QUESTION)
    assert (first.finish_reason, again.finish_reason, again.decision.cache) == ("length", "length", None)
    assert "finish reason length" in first.decision.not_kept
    assert "not kept: the answer is not whole" in str(first.decision)


def test_the_finish_reason_of_a_cached_answer_is_that_of_the_answer(records):
    with orchestrator(records, scripted(), CONFIG | {"cache_path": ":memory:"}, slow) as running:
        first, again = running.process_task(QUESTION), running.process_task(QUESTION)
    assert (first.finish_reason, again.finish_reason, again.decision.cache) == ("stop", "stop", "exact")


def test_an_answer_beyond_relaxed_limits_is_kept(records):
    config = CONFIG | {"cache_path": ":memory:", "max_latency_ms": 1}
    with orchestrator(records, scripted(), config, slow) as running:
        first, again = running.process_task(QUESTION), running.process_task(QUESTION)
    assert "limits were relaxed" in first.decision.warnings[0]
    assert (first.decision.not_kept, again.decision.cache) == (None, "exact")


@pytest.mark.parametrize(
    ("change", "hits"),
    [
        ({}, "exact"),
        ({"weights": "other"}, None),
        ({"models": {SMALL: {"max_tokens": 3}}}, None),
        ({"seed": 1}, None),
        ({"routing_threshold": 0.5}, None),
        ({"max_concurrent_tasks": 3}, "exact"),
    ],
    ids=str,
)
def test_a_restart_with_other_models_or_sampling_serves_no_answer_of_the_old_ones(records, tmp_path, change, hits):
    config = CONFIG | {"cache_path": str(tmp_path / "a.db")}
    with orchestrator(records, scripted(), config, slow) as running:
        running.process_task(QUESTION)
    weights = change.pop("weights", "scripted")
    with orchestrator(records, scripted(weights_sha256=weights), config | change, slow) as restarted:
        assert restarted.process_task(QUESTION).decision.cache == hits


def test_the_identity_names_the_dtype_and_the_endpoint(records):
    with orchestrator(records, scripted()) as running:
        fitted = running.prepare()

        class Elsewhere(ScriptedModel):
            def identity(self):
                return super().identity() | {"endpoint": "http://b"}

        one, other = (pool_identity([kind("m")], fitted, running.settings) for kind in (ScriptedModel, Elsewhere))
    assert one != other


@pytest.mark.parametrize(("shared", "hits"), [(False, None), (True, "exact")])
def test_a_tenant_gets_the_answers_of_another_only_if_sharing_is_configured(records, shared, hits):
    config = CONFIG | {"cache_path": ":memory:", "cache_shared": shared}
    with orchestrator(records, scripted(), config, slow) as running:
        running.process_task(QUESTION, RequestOptions(tenant="a"))
        assert running.process_task(QUESTION, RequestOptions(tenant="a")).decision.cache == "exact"
        assert running.process_task(QUESTION, RequestOptions(tenant="b")).decision.cache == hits


def test_a_model_asked_for_by_name_is_not_served_from_the_answers_of_another(records):
    with orchestrator(records, scripted(), CONFIG | {"cache_path": ":memory:"}, slow) as running:
        running.process_task(QUESTION)
        named = running.process_task(QUESTION, RequestOptions(model=LARGE))
        again = running.process_task(QUESTION, RequestOptions(model=LARGE))
    assert (named.model, named.decision.cache, again.decision.cache) == (LARGE, None, "exact")
