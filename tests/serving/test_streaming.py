"""Streaming: which answers are streamed while they are decoded, and what happens when the reader leaves."""

import asyncio
import threading
from contextlib import aclosing, closing

import openai
import pytest
from hydra.utils import instantiate

from experiments.setup.config import load_config
from slm_orchestration.models.model import CallError, Completion
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.serving.gateway.app import RequestLimits
from slm_orchestration.serving.gateway.backend import OrchestratorBackend
from slm_orchestration.serving.resilience import GuardedCall, Protection
from slm_orchestration.serving.result import Result
from tests.serving.by_hand import LARGE, SMALL, orchestrator, scripted
from tests.serving.gateway.echo_server import serving

TEXT = "to be or not to be"
ROUTED = {"routing_strategy": "length", "routing_threshold": 1}  # the cheapest, whatever it answers
CASCADE = {"routing_strategy": "confidence"}


class Writer(ScriptedModel):
    """Streams word by word, waits for `continues` after each word, and fails after `dies_after` words."""

    def __init__(self, name, *texts, dies_after=()):
        super().__init__(name, certainty=0.9)
        self.texts, self.dies_after = list(texts), list(dies_after)
        self.continues, self.ended, self.written = threading.Event(), threading.Event(), []

    def stream_text(self, task, *, seed):
        text = self.texts.pop(0)
        death = self.dies_after.pop(0) if self.dies_after else None
        words = text.replace(" ", " \n").split("\n")
        try:
            for number, word in enumerate(words):
                if number == death:
                    raise CallError(f"{self.name} died")
                self.written.append(word)
                yield word
                assert self.continues.wait(10)
            signals = dict.fromkeys(("logprob_sum", "logprob_mean", "logprob_min", "logprob_q10", "logprob_q50"), -0.1)
            yield Completion(text, 3, len(words), 0.0, signals, "stop")
        finally:
            self.ended.set()


def pool(**writers):
    return scripted() | {SMALL: writers.get("small", ScriptedModel(SMALL)), **writers.get("others", {})}


def test_a_routed_answer_is_streamed_while_it_is_decoded(records):
    small = Writer(SMALL, TEXT)
    with orchestrator(records, pool(small=small), ROUTED) as running:
        stream = running.stream_task("Is 7 even?")
        with closing(iter(stream)) as pieces:
            assert next(pieces) == "to "
            assert not small.ended.is_set()
            small.continues.set()
            assert "".join(pieces) == "be or not to be"
    assert (stream.result.output, stream.result.model) == (TEXT, SMALL)


def test_an_answer_that_may_be_escalated_is_not_streamed_before_it_is_served(records):
    small = Writer(SMALL, "not this")
    small.continues.set()
    large = Writer(LARGE, TEXT)
    large.continues.set()
    everyone = pool(small=small, others={LARGE: large})
    with orchestrator(records, everyone, CASCADE | {"routing_threshold": 0}) as running:
        stream = running.stream_task("Is 7 even?")
        assert list(stream) == ["to ", "be ", "or ", "not ", "to ", "be"]
    assert small.written == ["not ", "this"]
    assert stream.result.decision.models_called[-1] == LARGE
    small.texts.append(TEXT)
    with orchestrator(records, pool(small=small), CASCADE | {"routing_threshold": 1}) as running:
        assert list(running.stream_task("Is 7 even?")) == [TEXT]


def test_closing_the_stream_ends_the_decoding_and_no_other_model_is_called(records):
    small = Writer(SMALL, TEXT)
    everyone = pool(small=small)
    with orchestrator(records, everyone, ROUTED) as running:
        with closing(iter(running.stream_task("Is 7 even?"))) as pieces:
            next(pieces)
        small.continues.set()
        assert small.ended.wait(10)
    assert small.written == ["to ", "be "]
    assert everyone[LARGE].calls == []


def test_the_event_loop_gets_the_same_pieces_then_the_result(records):
    small = Writer(SMALL, TEXT)
    small.continues.set()

    async def ask(running):
        async with aclosing(running.astream_task("Is 7 even?")) as pieces:
            return [piece async for piece in pieces]

    with orchestrator(records, pool(small=small), ROUTED) as running:
        *pieces, result = asyncio.run(ask(running))
    assert "".join(pieces) == TEXT
    assert len(pieces) == 6
    assert isinstance(result, Result)


def test_a_broken_stream_continues_if_the_retry_gives_the_same_text(records):
    call = GuardedCall(Protection(attempts=2, backoff_s=0))
    small = Writer(SMALL, TEXT, TEXT, dies_after=[2])
    small.continues.set()
    with orchestrator(records, pool(small=small), ROUTED, call) as running:
        assert list(running.stream_task("Is 7 even?")) == ["to ", "be ", "or ", "not ", "to ", "be"]
    small = Writer(SMALL, TEXT, "something else", dies_after=[2])
    small.continues.set()
    broken = pytest.raises(CallError, match="the answer broke off")
    with orchestrator(records, pool(small=small), ROUTED, call) as running, broken:
        list(running.stream_task("Is 7 even?"))


@pytest.mark.real
@pytest.mark.timeout(600)
def test_the_official_client_streams_the_answer_of_a_real_model(records, users_cache):
    cfg = load_config("pool=packaged")
    everyone = pool(small=instantiate(cfg.pool.models[0]))
    say = [{"role": "user", "content": "Write a line with the characters é, 漢 and 🙂."}]
    everyone[SMALL].load()
    running = orchestrator(records, everyone, ROUTED)
    running.prepare()
    with serving(OrchestratorBackend(running), limits=RequestLimits(answer_s=300)) as one:
        completions = openai.OpenAI(base_url=f"{one.url}/v1", api_key="none", max_retries=0).chat.completions
        asked = {"model": "auto", "messages": say, "max_tokens": 12}
        whole = completions.create(**asked)
        chunks = list(completions.create(**asked, stream=True))
        with completions.create(**asked, stream=True) as left:
            next(iter(left))
        assert one.in_flight() == 0
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len(pieces) > 3
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
