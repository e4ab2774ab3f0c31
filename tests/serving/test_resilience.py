"""Models that fail, stall or give invalid answers: what the caller gets, and what is counted."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from slm_orchestration.models.model import CallError, Completion, TaskError
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.serving.resilience import (
    Admission,
    CircuitBreaker,
    CircuitOpen,
    GuardedCall,
    ModelGuard,
    Overloaded,
    Protection,
    Stopping,
)
from tests.serving.by_hand import task


class Script:
    """A model's calls, one after the other: an exception is raised, an event waited for, a text answers."""

    def __init__(self, *calls):
        self.calls = list(calls)
        self.called = 0

    def __call__(self):
        step = self.calls[min(self.called, len(self.calls) - 1)]
        self.called += 1
        if isinstance(step, Exception):
            raise step
        if isinstance(step, threading.Event):
            step.wait(60)
        return step


def test_a_failed_call_is_retried():
    work = Script(CallError("down"), ConnectionResetError(), "answer")
    assert ModelGuard("small", Protection(attempts=3, backoff_s=0.0)).call(work) == "answer"
    assert work.called == 3


def test_the_last_failure_is_raised_when_the_attempts_are_used_up():
    work = Script(CallError("first"), CallError("second"))
    with pytest.raises(CallError, match="second"):
        ModelGuard("small", Protection(attempts=2, backoff_s=0.0)).call(work)
    assert work.called == 2


def test_a_programming_error_is_not_retried():
    work = Script(KeyError("bug"), "answer")
    with pytest.raises(KeyError):
        ModelGuard("small", Protection(attempts=3, backoff_s=0.0)).call(work)
    assert work.called == 1


def test_a_stalled_call_ends_with_a_timeout_that_names_the_model():
    stalled = threading.Event()
    with pytest.raises(TimeoutError, match=r"small took longer than 0\.01 s"):
        ModelGuard("small", Protection(timeout_s=0.01, attempts=1)).call(Script(stalled))
    stalled.set()


def test_the_breaker_opens_at_half_failed_calls_and_closes_after_a_successful_probe():
    clock = [0.0]
    work = Script(CallError("down"))
    guard = ModelGuard("small", Protection(timeout_s=None, attempts=1, least=4, open_s=10), concurrent=True)
    guard._breaker.now = lambda: clock[0]
    # success, failure, success, failure: half of four
    calls = [Script("fine"), work, Script("fine"), work, work]
    assert [_ended(guard, each) for each in calls] == [None, CallError, None, CallError, CircuitOpen]
    assert guard.is_open
    clock[0] = 11.0  # one call probes the model, and the others do not wait for it
    back = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        work = Script(back)
        probe = pool.submit(_ended, guard, work)
        while not work.called:
            pass
        assert _ended(guard, work) is CircuitOpen
        back.set()
        assert probe.result() is None
    assert not guard.is_open
    assert _ended(guard, Script(CallError("once"))) is CallError  # the window is empty again
    assert not guard.is_open


def test_a_failed_probe_opens_the_breaker_again():
    clock = [0.0]
    work = Script(CallError("down"))
    guard = ModelGuard("small", Protection(timeout_s=None, attempts=1, least=2, open_s=10))
    guard._breaker.now = lambda: clock[0]
    assert [_ended(guard, work) for _ in range(3)] == [CallError, CallError, CircuitOpen]
    clock[0] = 11.0
    assert [_ended(guard, work) for _ in range(2)] == [CallError, CircuitOpen]


def test_rare_failures_do_not_open_the_breaker():
    breaker = CircuitBreaker(window=4, min_calls=2, failure_share=0.5, open_s=1.0)
    for failed in [False, False, False, True] * 3:  # never two of the last four
        breaker.record(probe=breaker.admit(), failed=failed)
        assert not breaker.is_open


def test_a_task_error_does_not_count_against_the_model():
    work = Script(TaskError("too long"))
    guard = ModelGuard("small", Protection(attempts=3, least=1))
    for _ in range(3):
        with pytest.raises(TaskError):
            guard.call(work)
    assert work.called == 3


def test_a_model_is_called_once_at_a_time_unless_it_is_concurrent():
    for concurrent, most in ((False, 1), (True, 3)):
        guard = ModelGuard("small", Protection(), concurrent=concurrent)
        together, running = [], []
        all_in = threading.Barrier(most)

        def work(together=together, running=running, all_in=all_in):
            running.append(1)
            all_in.wait(10)
            together.append(len(running))
            all_in.wait(10)
            running.pop()

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(guard.call, [work] * 3))
        assert max(together) == most


def test_each_model_has_a_guard_of_its_own():
    call = GuardedCall(Protection(attempts=1, least=1))
    broken = ScriptedModel("small", fails_on=["one"], fails_always=True)
    for error in (CallError, CircuitOpen):
        with pytest.raises(error):
            call(broken, [task("one")], seed=0)
    assert call(ScriptedModel("large", default="yes"), [task("one")], seed=0)[0].answer == "yes"


@pytest.mark.parametrize(
    ("answers", "choices"), [([], None), (["a", "b"], None), ([None], None), (["maybe"], ["yes", "no"])]
)
def test_invalid_answers_are_failures(answers, choices):
    class Invalid(ScriptedModel):
        def complete(self, tasks, *, seed):
            return [Completion(answer, 1, 1, 0.0, {}, "stop") for answer in answers]

    with pytest.raises(CallError, match="small gave"):
        GuardedCall(Protection(attempts=1))(Invalid("small"), [task("one", choices=choices)], seed=0)


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


def test_a_drain_lets_running_requests_finish_and_refuses_new_ones():
    async def scene():
        admission = Admission(running=2, waiting=0)

        async def request(seconds):
            async with admission.admitted():
                await asyncio.sleep(seconds)

        short, endless = asyncio.create_task(request(0.01)), asyncio.create_task(request(60))
        await asyncio.sleep(0)
        left = await admission.drain(timeout_s=0.05)
        with pytest.raises(Stopping, match="stopping"):
            await request(0)
        endless.cancel()
        await asyncio.gather(short, endless, return_exceptions=True)
        return left, await admission.drain(timeout_s=1)

    assert asyncio.run(scene()) == (1, 0)


@pytest.mark.parametrize("wrong", [{"timeout_s": 0}, {"attempts": 0}, {"backoff_s": -1}, {"open_at": 1.5}])
def test_an_impossible_protection_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Protection(**wrong)


def _ended(guard, work):
    try:
        guard.call(work)
    except (CallError, OSError) as error:
        return type(error)
    return None
