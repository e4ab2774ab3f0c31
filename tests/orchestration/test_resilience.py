"""Models that fail, stall or babble: what the caller gets, and what is counted."""

import asyncio

import pytest
from circuitbreaker import CircuitBreaker

from slm_orchestration.models.model import CallError
from slm_orchestration.orchestration.resilience import (
    Admission,
    BreakerOpen,
    Guard,
    Overloaded,
    Protection,
    Unavailable,
    first_answer,
)

ONCE = Protection(timeout_s=None, attempts=1, failures_to_open=None)


class Script:
    """A model's calls, one after the other: an exception is raised, a number is a stall in seconds, a text answers."""

    def __init__(self, *calls):
        self.calls = list(calls)
        self.called = 0

    async def __call__(self):
        step = self.calls[min(self.called, len(self.calls) - 1)]
        self.called += 1
        if isinstance(step, Exception):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
        return step


def test_a_failed_call_is_tried_again():
    work = Script(CallError("down"), ConnectionResetError(), "answer")
    guard = Guard("small", Protection(attempts=3, backoff_s=0.0))
    assert asyncio.run(guard.call(work)) == "answer"
    assert work.called == 3


def test_the_last_failure_is_raised_when_the_attempts_are_used_up():
    work = Script(CallError("first"), CallError("second"))
    with pytest.raises(CallError, match="second"):
        asyncio.run(Guard("small", Protection(attempts=2, backoff_s=0.0)).call(work))
    assert work.called == 2


def test_a_mistake_in_the_program_is_not_tried_again():
    work = Script(KeyError("bug"), "answer")
    with pytest.raises(KeyError):
        asyncio.run(Guard("small", Protection(attempts=3, backoff_s=0.0)).call(work))
    assert work.called == 1


def test_a_stalled_call_ends_with_its_timeout_and_says_whose_it_was():
    with pytest.raises(TimeoutError, match=r"small took longer than 0\.01 s"):
        asyncio.run(Guard("small", Protection(timeout_s=0.01, attempts=1)).call(Script(60.0)))


def test_an_answer_that_is_not_accepted_is_a_failure():
    work = Script("garbage", "answer")
    guard = Guard("small", Protection(attempts=2, backoff_s=0.0))
    assert asyncio.run(guard.call(work, accepts=lambda answer: answer == "answer")) == "answer"


def test_after_failures_in_a_row_the_model_is_left_alone(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("circuitbreaker.monotonic", lambda: clock[0])
    work = Script(CallError("down"))
    guard = Guard("small", Protection(attempts=1, failures_to_open=3, open_s=10))

    async def outcomes(n):
        return [type(error) for error in await asyncio.gather(*[_error(guard, work) for _ in range(n)])]

    assert asyncio.run(outcomes(3)) == [CallError] * 3
    assert guard.is_open
    assert asyncio.run(outcomes(2)) == [BreakerOpen] * 2
    assert work.called == 3
    clock[0] = 11.0  # one call finds out that the model is still down, and the others do not wait for it
    work.calls = [0.01]
    assert asyncio.run(outcomes(3)) == [type(None), BreakerOpen, BreakerOpen]
    assert not guard.is_open


def test_a_success_in_between_starts_the_count_anew():
    work = Script(CallError("down"), CallError("down"), "answer", CallError("down"), CallError("down"), "answer")
    guard = Guard("small", Protection(attempts=3, backoff_s=0.0, failures_to_open=3))
    assert [asyncio.run(guard.call(work)) for _ in range(2)] == ["answer", "answer"]
    assert not guard.is_open


def test_a_caller_who_leaves_neither_opens_nor_closes_the_breaker():
    async def scene():
        guard = Guard("small", Protection(timeout_s=None, attempts=1, failures_to_open=2))
        await _error(guard, Script(CallError("down")))
        call = asyncio.create_task(guard.call(Script(60.0)))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert not guard.is_open
        await _error(guard, Script(CallError("down")))
        return guard.is_open

    assert asyncio.run(scene())


def test_the_fallback_answers_when_the_chosen_model_does_not():
    async def ask(model):
        if model == "small":
            raise CallError("small is down")
        return f"from {model}"

    answered = asyncio.run(first_answer([Guard("small", ONCE), Guard("large", ONCE)], ask))
    assert (answered.model, answered.answer, answered.failures) == ("large", "from large", ("small is down",))


def test_nobody_answering_names_every_failure():
    async def ask(model):
        raise CallError(f"{model} is down")

    with pytest.raises(Unavailable, match="small is down; large is down"):
        asyncio.run(first_answer([Guard("small", ONCE), Guard("large", ONCE)], ask))


def test_every_request_is_counted_once_and_the_surplus_is_refused_at_once():
    async def scene():
        admission = Admission(running=1, waiting=2)
        go = asyncio.Event()

        async def request(outcome):
            async with admission.admitted():
                await go.wait()
                if outcome:
                    raise outcome

        requests = [asyncio.create_task(request(outcome)) for outcome in (None, CallError("down"), None, None)]
        await asyncio.sleep(0)
        requests[2].cancel()
        go.set()
        return admission, await asyncio.gather(*requests, return_exceptions=True)

    admission, ended = asyncio.run(scene())
    assert [type(each) for each in ended] == [type(None), CallError, asyncio.CancelledError, Overloaded]
    counts = (admission.accepted, admission.answered, admission.failed, admission.abandoned, admission.refused)
    assert counts == (3, 1, 1, 1, 1)
    assert admission.in_flight == 0


def test_a_drain_lets_the_running_finish_and_refuses_the_rest():
    async def scene():
        admission = Admission(running=2, waiting=0)

        async def request(seconds):
            async with admission.admitted():
                await asyncio.sleep(seconds)

        short, endless = asyncio.create_task(request(0.01)), asyncio.create_task(request(60))
        await asyncio.sleep(0)
        left = await admission.drain(timeout_s=0.05)
        with pytest.raises(Overloaded, match="stopping"):
            await request(0)
        endless.cancel()
        await asyncio.gather(short, endless, return_exceptions=True)
        return left, await admission.drain(timeout_s=1)

    assert asyncio.run(scene()) == (1, 0)


@pytest.mark.parametrize("wrong", [{"timeout_s": 0}, {"attempts": 0}, {"backoff_s": -1}, {"failures_to_open": -1}])
def test_an_impossible_protection_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Protection(**wrong)


def test_the_library_counts_as_this_module_assumes():
    breaker = CircuitBreaker(1, 10, (RuntimeError,), "small")
    with pytest.raises(RuntimeError), breaker:
        raise RuntimeError
    assert breaker.opened


async def _error(guard, work):
    try:
        await guard.call(work)
    except (CallError, OSError) as error:
        return error
    return None
