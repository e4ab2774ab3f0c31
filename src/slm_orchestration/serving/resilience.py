"""Survive models that fail: timeouts, retries and circuit breakers around calls; a bulkhead around requests.

Retries are tenacity's, the breaker is in `breaker.py`. Every request that `Admission` lets in ends answered, failed or
abandoned by its client, and is counted as that.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, retry_if_not_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from slm_orchestration.models.model import CallError, Completion, Model, TaskError
from slm_orchestration.tasks.task import Task

Answer = TypeVar("Answer")

# What a model may do to a caller: CallError and torch's errors are RuntimeErrors, timeouts and networks OSErrors.
FAILURES = (RuntimeError, OSError)
_LONGEST_PAUSE_S = 5.0


class BreakerOpen(CallError):
    """The model failed so often that it is not asked for a while."""


class Overloaded(RuntimeError):
    """A request was refused at the door: too many are running and waiting, or the server is stopping."""


@dataclass(frozen=True)
class Protection:
    """How one model is guarded; null, or one attempt, leaves a protection out.

    A call that takes longer than `timeout_s` failed. A failed call is tried again until there were `attempts`, after a
    random pause of at most `backoff_s`, doubled each time. When `open_at` of a model's last `window` calls failed, at
    least `least` of them, it is not asked for `open_s` seconds; then single calls find out whether it is back.
    """

    timeout_s: float | None = 120.0
    attempts: int = 2
    backoff_s: float = 0.1
    open_at: float | None = 0.5
    window: int = 20
    least: int = 5
    open_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("timeout_s", "attempts", "open_at", "window", "least", "open_s"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise ValueError(f"{name}={value}: allowed is a number above 0")
        if self.open_at is not None and self.open_at > 1:
            raise ValueError(f"open_at={self.open_at}: allowed is a share of calls, at most 1")
        if self.backoff_s < 0:
            raise ValueError(f"backoff_s={self.backoff_s}: allowed is a number from 0")


class Guard:
    """Calls one model under its protection, from any thread; one call at a time unless it takes `concurrent` ones."""

    def __init__(self, name: str, protection: Protection, *, concurrent: bool = False) -> None:
        self.name = name
        self.protection = protection
        shape = protection.window, protection.least, protection.open_at, protection.open_s
        self._breaker = None if protection.open_at is None else Breaker(*shape)  # type: ignore[arg-type]
        self._turn = nullcontext() if concurrent else threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether calls are refused because the model failed too often."""
        return self._breaker is not None and self._breaker.is_open

    def call(self, work: Callable[[], Answer], *, timeout_s: float | None = None) -> Answer:
        """Return what `work()` gives, in at most `timeout_s` (default: the protection's).

        Raises BreakerOpen without calling, and the last failure (FAILURES) when every attempt failed. Waiting for other
        calls to the model is no part of the limit; a TaskError is raised at once and does not count against the model.
        """
        limit_s = timeout_s or self.protection.timeout_s
        retrying = Retrying(
            stop=stop_after_attempt(self.protection.attempts),
            wait=wait_random_exponential(multiplier=self.protection.backoff_s, max=_LONGEST_PAUSE_S),
            retry=retry_if_exception_type(FAILURES) & retry_if_not_exception_type((BreakerOpen, TaskError)),
            reraise=True,
        )
        return retrying(self._in_turn, work, limit_s)

    def _in_turn(self, work: Callable[[], Answer], limit_s: float | None) -> Answer:
        with self._turn:
            return self._attempt(work, limit_s)

    def _attempt(self, work: Callable[[], Answer], limit_s: float | None) -> Answer:
        probe = False if self._breaker is None else self._breaker.enter()
        if probe is None:
            raise BreakerOpen(f"{self.name} failed too often and is left alone for a moment")
        failed: bool | None = None
        try:
            answer = _within(work, limit_s, self.name)
            failed = False
        except TaskError:
            raise
        except FAILURES:
            failed = True
            raise
        finally:
            if self._breaker is not None:
                self._breaker.leave(probe=probe, failed=failed)
        return answer


class GuardedCall:
    """Calls models, each under a guard of its own; what an orchestrator is given as its way to call."""

    def __init__(self, protection: Protection) -> None:
        self.protection = protection
        self._guards: dict[str, Guard] = {}

    def __call__(self, model: Model, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Return one usable completion per task; the time limit holds for each task of the call."""

        def work() -> list[Completion]:
            completions = model.complete(tasks, seed=seed)
            _check(completions, tasks, model.name)
            return completions

        limit = self.protection.timeout_s
        return self._guard(model).call(work, timeout_s=limit and limit * max(len(tasks), 1))

    def _guard(self, model: Model) -> Guard:
        if model.name not in self._guards:
            fresh = Guard(model.name, self.protection, concurrent=getattr(model, "concurrent", False))
            self._guards.setdefault(model.name, fresh)
        return self._guards[model.name]


def _within(work: Callable[[], Answer], limit_s: float | None, name: str) -> Answer:
    """Return what `work()` gives. A call cannot be killed: past the limit it goes on, unheard, in a daemon thread."""
    if limit_s is None:
        return work()
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # handed to the caller, whatever it is
            future.set_exception(error)

    threading.Thread(target=run, name=f"call {name}", daemon=True).start()
    done, _ = wait([future], timeout=limit_s)
    if not done:
        raise TimeoutError(f"{name} took longer than {limit_s:g} s")
    return future.result()


def _check(completions: Sequence[Completion], tasks: Sequence[Task], name: str) -> None:
    """Raise CallError unless every task has an answer of the right form."""
    if len(completions) != len(tasks):
        raise CallError(f"{name} gave {len(completions)} answers to {len(tasks)} tasks")
    for completion, task in zip(completions, tasks, strict=True):
        answer = completion.answer
        if not isinstance(answer, str) or (task.choices is not None and answer not in task.choices):
            raise CallError(f"{name} gave an answer that cannot be used")


@dataclass
class Admission:
    """A bulkhead: at most `running` requests at once and `waiting` behind them; the next one is refused at once.

    Belongs to one event loop. Always: accepted = answered + failed + abandoned + in_flight; refused ones are apart.
    """

    running: int
    waiting: int
    accepted: int = field(default=0, init=False)
    answered: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)
    abandoned: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)
    closing: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.running < 1 or self.waiting < 0:
            raise ValueError(f"running={self.running}, waiting={self.waiting}: at least 1 may run and 0 wait")
        self._slots = asyncio.Semaphore(self.running)
        self._empty = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """How many accepted requests run or wait."""
        return self.accepted - self.answered - self.failed - self.abandoned

    @asynccontextmanager
    async def admitted(self, limit_s: float | None = None) -> AsyncIterator[None]:
        """Hold one place while the block runs. Raises Overloaded where there is none.

        Waiting and block together may take `limit_s`; then TimeoutError ends them, and the request has failed.
        """
        if self.closing or self.in_flight >= self.running + self.waiting:
            self.refused += 1
            raise Overloaded("the server is stopping" if self.closing else f"{self.in_flight} requests are in flight")
        self.accepted += 1
        self._empty.clear()
        try:
            async with asyncio.timeout(limit_s), self._slots:
                yield
        except (asyncio.CancelledError, GeneratorExit):
            self.abandoned += 1
            raise
        except BaseException:
            self.failed += 1
            raise
        else:
            self.answered += 1
        finally:
            if not self.in_flight:
                self._empty.set()

    def passed(self) -> None:
        """Count a request that needed no place: accepted and answered at once."""
        self.accepted += 1
        self.answered += 1

    async def drain(self, timeout_s: float) -> int:
        """Refuse new requests, wait for those in flight, and return how many `timeout_s` left unfinished."""
        self.closing = True
        if self.in_flight:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._empty.wait()
            except TimeoutError:
                pass
        return self.in_flight


# ========== A circuit breaker: a model that fails too large a share of its calls is left alone for a moment.
#
# Source: Nygard 2007, Release It!; a sliding window of calls with a least number, as in resilience4j. Counting failures
# in a row instead opens on a burst that ends by itself, and never opens where every other call fails.
#
@dataclass
class Breaker:
    """Open for `open_s` seconds once `share` of the last `window` calls failed, `least` of them made at least.

    Then calls may find out, one at a time, whether the model is back: a success closes the breaker and forgets what was
    before, a failure opens it again.
    """

    window: int
    least: int
    share: float
    open_s: float
    now: Callable[[], float] = time.monotonic
    _failed: deque[bool] = field(init=False, repr=False)
    _opened_s: float | None = field(default=None, init=False)
    _probing: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._failed = deque(maxlen=self.window)
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether no call is let through now."""
        with self._lock:
            return self._opened_s is not None and (self._probing or self.now() - self._opened_s < self.open_s)

    def enter(self) -> bool | None:
        """Return None where no call is let through; else whether this one finds out if the model is back."""
        with self._lock:
            if self._opened_s is None:
                return False
            if self._probing or self.now() - self._opened_s < self.open_s:
                return None
            self._probing = True
            return True

    def leave(self, *, probe: bool, failed: bool | None) -> None:
        """Note how a call that was let through ended; None where that says nothing of the model."""
        with self._lock:
            self._probing = self._probing and not probe
            if failed is None or (self._opened_s is not None and not probe):
                return  # calls that began before it opened decide nothing any more
            if probe and not failed:
                self._failed.clear()
                self._opened_s = None
                return
            self._failed.append(failed)
            enough = len(self._failed) >= min(self.least, self.window)
            if probe or (enough and sum(self._failed) >= self.share * len(self._failed)):
                self._opened_s = self.now()
