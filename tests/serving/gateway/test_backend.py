"""The backend of the gateway over an orchestrator of scripted models."""

import asyncio
import time
from contextlib import aclosing

import pytest

from slm_orchestration.models.model import CallError, ContextExceeded
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.serving.gateway.backend import OrchestratorBackend
from slm_orchestration.serving.gateway.openai_api import Chat, Reply
from slm_orchestration.serving.gateway.responses import InvalidRequest
from slm_orchestration.serving.resilience import GuardedCall, Protection
from tests.serving.by_hand import NAMES, SMALL, orchestrator, scripted, slow
from tests.serving.gateway.by_hand import USER

CHAT = Chat(USER, None, None)
CHEAPEST = {"routing_threshold": 1}
CACHED = CHEAPEST | {"cache_enabled": True, "cache_path": ":memory:"}


def _backend(records, models=None, config=None, call=None):
    return OrchestratorBackend(orchestrator(records, models or scripted(), config or CHEAPEST, call))


def test_a_reply_holds_the_answer_its_model_its_tokens_and_its_calls(records):
    reply = asyncio.run(_backend(records).answer(CHAT))
    assert (reply.text, reply.model, reply.models_called) == (f"answer of {SMALL}", SMALL, (SMALL,))
    assert (reply.prompt_tokens, reply.completion_tokens, reply.finish_reason, reply.cache) == (4, 3, "stop", None)
    assert reply.cost_usd > 0


def test_what_was_answered_is_a_cached_reply_and_what_was_not_is_none(records):
    backend = _backend(records, config=CACHED, call=slow)  # what a hit hardly saves is not kept
    assert backend.cached_reply(CHAT) is None
    first = asyncio.run(backend.answer(CHAT))
    again = backend.cached_reply(CHAT)
    assert (again.text, again.cache, again.models_called) == (first.text, "exact", ())
    assert backend.cached_reply(Chat([{"role": "user", "content": "else"}], None, None)) is None
    assert backend.cached_reply(Chat([{"role": "user", "content": " "}], None, None)) is None
    asyncio.run(backend.close())


def test_a_stream_yields_text_and_then_the_reply(records):
    async def ask():
        async with aclosing(_backend(records).stream(CHAT)) as pieces:
            return [piece async for piece in pieces]

    *texts, reply = asyncio.run(ask())
    assert "".join(texts) == reply.text == f"answer of {SMALL}"
    assert isinstance(reply, Reply)


def test_an_empty_chat_and_limits_that_no_model_fits_are_invalid(records):
    with pytest.raises(InvalidRequest, match="not empty"):
        asyncio.run(_backend(records).answer(Chat([{"role": "user", "content": ""}], None, None)))
    strict = {"max_cost_usd": 1e-9, "no_model_fits": "refuse"}
    with pytest.raises(InvalidRequest, match="refused: no model fits"):
        asyncio.run(_backend(records, config=strict).answer(CHAT))


def test_when_no_model_answers_the_call_failed(records):
    def call(model, tasks, *, seed):
        raise CallError("down")

    with pytest.raises(CallError, match=f"{NAMES[0]}: down"):
        asyncio.run(_backend(records, call=call).answer(CHAT))


@pytest.mark.parametrize(("asked", "given"), [(None, 40), (7, 7), (1000, 40)])
def test_a_chat_may_ask_for_fewer_tokens_than_the_server_allows(records, asked, given):
    seen = []

    def call(model, tasks, *, seed):
        seen.append(tasks[0].max_tokens)
        return model.complete(tasks, seed=seed)

    asyncio.run(_backend(records, config=CHEAPEST | {"max_tokens": 40}, call=call).answer(Chat(USER, None, asked)))
    assert seen == [given]


def test_closing_the_backend_closes_the_orchestrator(records):
    backend = _backend(records)
    asyncio.run(backend.close())
    with pytest.raises(ValueError, match="closed"):
        asyncio.run(backend.answer(CHAT))


def test_every_model_of_the_pool_answers_by_name(records):
    backend = _backend(records)
    assert tuple(backend.models) == NAMES
    for name in NAMES:
        reply = asyncio.run(backend.answer(Chat(USER, name, None)))
        assert (reply.text, reply.models_called) == (f"answer of {name}", (name,))


class Endless(ScriptedModel):
    """Decodes a word every 10 ms, for ever."""

    def stream_text(self, task, *, seed):
        while True:
            self.calls.append([task.task_id])
            time.sleep(0.01)
            yield "word "


def test_a_client_that_leaves_ends_the_decoding(records):
    models = {name: Endless(name) for name in NAMES}
    backend = _backend(records, models, call=GuardedCall(Protection(timeout_s=60.0)))

    async def leave():
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await backend.answer(CHAT)
        await asyncio.sleep(0.1)
        before = len(models[SMALL].calls)
        await asyncio.sleep(0.1)
        return before, len(models[SMALL].calls)

    backend.orchestrator.prepare()
    before, after = asyncio.run(leave())
    assert 0 < before == after
    assert not models[NAMES[1]].calls


class Short(ScriptedModel):
    """Has a context of 2,000 characters."""

    def context_error(self, task):
        size = len(task.messages[-1]["content"])
        return ContextExceeded(f"{size} prompt tokens exceed {self.name}'s context of 2000") if size > 2000 else None


def test_a_prompt_beyond_every_context_is_refused_before_any_call(records):
    models = {name: Short(name) for name in NAMES}
    backend = _backend(records, models)
    with pytest.raises(InvalidRequest, match=r"the prompt is too long: .* exceed .* context of 2000") as refused:
        asyncio.run(backend.answer(Chat([{"role": "user", "content": "x" * 3000}], None, None)))
    assert refused.value.code == "context_length_exceeded"
    assert not any(model.calls for model in models.values())


def test_a_prompt_beyond_a_short_context_goes_to_a_longer_one(records):
    models = {name: Short(name) for name in NAMES[:2]} | {NAMES[2]: ScriptedModel(NAMES[2], default="long")}
    reply = asyncio.run(_backend(records, models).answer(Chat([{"role": "user", "content": "x" * 3000}], None, None)))
    assert reply.models_called == (NAMES[2],)
    assert not models[SMALL].calls
