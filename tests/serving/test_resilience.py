"""Models that fail, stall or babble: what the caller gets, and what is counted."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from slm_orchestration.models.model import CallError, Completion, TaskError
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.serving.resilience import (
    Admission,
    Breaker,
    BreakerOpen,
    Guard,
    GuardedCall,
    Overloaded,
    Protection,
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


def test_a_failed_call_is_tried_again():
    work = Script(CallError("down"), ConnectionResetError(), "answer")
    assert Guard("small", Protection(attempts=3, backoff_s=0.0)).call(work) == "answer"
    assert work.called == 3


def test_the_last_failure_is_raised_when_the_attempts_are_used_up():
    work = Script(CallError("first"), CallError("second"))
    with pytest.raises(CallError, match="second"):
        Guard("small", Protection(attempts=2, backoff_s=0.0)).call(work)
    assert work.called == 2


def test_a_mistake_in_the_program_is_not_tried_again():
    work = Script(KeyError("bug"), "answer")
    with pytest.raises(KeyError):
        Guard("small", Protection(attempts=3, backoff_s=0.0)).call(work)
    assert work.called == 1


def test_a_stalled_call_ends_with_its_timeout_and_says_whose_it_was():
    stalled = threading.Event()
    with pytest.raises(TimeoutError, match=r"small took longer than 0\.01 s"):
        Guard("small", Protection(timeout_s=0.01, attempts=1)).call(Script(stalled))
    stalled.set()


def test_a_model_that_fails_half_its_calls_is_left_alone_until_one_call_finds_it_back():
    clock = [0.0]
    work = Script(CallError("down"))
    guard = Guard("small", Protection(timeout_s=None, attempts=1, open_at=0.5, least=4, open_s=10), concurrent=True)
    guard._breaker.now = lambda: clock[0]
    # right, wrong, right, wrong: half of four
    calls = [Script("fine"), work, Script("fine"), work, work]
    assert [_ended(guard, each) for each in calls] == [None, CallError, None, CallError, BreakerOpen]
    assert guard.is_open
    clock[0] = 11.0  # one call finds out whether the model is back, and the others do not wait for it
    back = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        work = Script(back)
        probe = pool.submit(_ended, guard, work)
        while not work.called:
            pass
        assert _ended(guard, work) is BreakerOpen
        back.set()
        assert probe.result() is None
    assert not guard.is_open
    assert _ended(guard, Script(CallError("once"))) is CallError  # what was before is forgotten
    assert not guard.is_open


def test_a_model_that_is_still_down_is_left_alone_again():
    clock = [0.0]
    work = Script(CallError("down"))
    guard = Guard("small", Protection(timeout_s=None, attempts=1, least=2, open_s=10))
    guard._breaker.now = lambda: clock[0]
    assert [_ended(guard, work) for _ in range(3)] == [CallError, CallError, BreakerOpen]
    clock[0] = 11.0
    assert [_ended(guard, work) for _ in range(2)] == [CallError, BreakerOpen]


def test_rare_failures_open_nothing_and_old_ones_are_forgotten():
    breaker = Breaker(window=4, least=2, share=0.5, open_s=1.0)
    for failed in [False, False, False, True] * 3:  # never two of the last four
        breaker.leave(probe=breaker.enter(), failed=failed)
        assert not breaker.is_open


def test_a_task_that_no_attempt_can_answer_is_not_the_models_fault():
    work = Script(TaskError("too long"))
    guard = Guard("small", Protection(attempts=3, least=1))
    for _ in range(3):
        with pytest.raises(TaskError):
            guard.call(work)
    assert work.called == 3


def test_a_model_is_called_once_at_a_time_unless_it_takes_more():
    for concurrent, most in ((False, 1), (True, 3)):
        guard = Guard("small", Protection(), concurrent=concurrent)
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
    for error in (CallError, BreakerOpen):
        with pytest.raises(error):
            call(broken, [task("one")], seed=0)
    assert call(ScriptedModel("large", default="yes"), [task("one")], seed=0)[0].answer == "yes"


@pytest.mark.parametrize(
    ("answers", "choices"), [([], None), (["a", "b"], None), ([None], None), (["maybe"], ["yes", "no"])]
)
def test_answers_of_the_wrong_form_are_failures(answers, choices):
    class Babbling(ScriptedModel):
        def complete(self, tasks, *, seed):
            return [Completion(answer, 1, 1, 0.0, {}, "stop") for answer in answers]

    with pytest.raises(CallError, match="small gave"):
        GuardedCall(Protection(attempts=1))(Babbling("small"), [task("one", choices=choices)], seed=0)


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
