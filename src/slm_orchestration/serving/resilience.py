"""Protect requests from failing models: timeouts, retries and circuit breakers for calls, a bulkhead for requests.

The retries are tenacity's. Every request that `Admission` accepts ends answered, failed or abandoned by its client, and
is counted as such.
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

# Errors of a call: CallError and torch's errors are RuntimeErrors, timeouts and network errors are OSErrors.
FAILURES = (RuntimeError, OSError)
_MAX_BACKOFF_S = 5.0


class CircuitOpen(CallError):
    """The circuit breaker of a model is open: it failed too often and is not called for a while."""


class Overloaded(RuntimeError):
    """A request was not admitted: too many are running and waiting."""


class Stopping(RuntimeError):
    """A request was not admitted, or was ended, because the server is stopping."""


@dataclass(frozen=True)
class Protection:
    """How calls of one model are protected; `timeout_s` or `open_at` None, or one attempt, leaves a protection out.

    A call that takes longer than `timeout_s` has failed. A failed call is retried until there were `attempts`, after a
    random pause of at most `backoff_s` that doubles each time. The circuit breaker opens when a share `open_at` of the
    last `window` calls failed, with at least `least` calls; after `open_s` seconds single calls probe the model.
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


class ModelGuard:
    """Calls one model under its protection, from any thread, one call at a time unless it is `concurrent`."""

    def __init__(self, name: str, protection: Protection, *, concurrent: bool = False) -> None:
        self.name = name
        self.protection = protection
        shape = protection.window, protection.least, protection.open_at, protection.open_s
        self._breaker = None if protection.open_at is None else CircuitBreaker(*shape)  # type: ignore[arg-type]
        self._exclusive = nullcontext() if concurrent else threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether the circuit breaker is open."""
        return self._breaker is not None and self._breaker.is_open

    def call(self, work: Callable[[], Answer], *, timeout_s: float | None = None) -> Answer:
        """Return the result of `work()`, within `timeout_s` per attempt (default: the protection's).

        Raises CircuitOpen without calling, or the last failure (FAILURES) when every attempt failed. The limit does not
        include waiting for other calls of the model. A TaskError is raised at once and does not count as a failure.
        """
        limit_s = timeout_s or self.protection.timeout_s
        retrying = Retrying(
            stop=stop_after_attempt(self.protection.attempts),
            wait=wait_random_exponential(multiplier=self.protection.backoff_s, max=_MAX_BACKOFF_S),
            retry=retry_if_exception_type(FAILURES) & retry_if_not_exception_type((CircuitOpen, TaskError)),
            reraise=True,
        )
        return retrying(self._exclusively, work, limit_s)

    def _exclusively(self, work: Callable[[], Answer], limit_s: float | None) -> Answer:
        with self._exclusive:
            return self._attempt(work, limit_s)

    def _attempt(self, work: Callable[[], Answer], limit_s: float | None) -> Answer:
        probe = False if self._breaker is None else self._breaker.admit()
        if probe is None:
            raise CircuitOpen(f"{self.name} failed too often; its circuit breaker is open")
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
                self._breaker.record(probe=probe, failed=failed)
        return answer


class GuardedCall:
    """A way to call models for an orchestrator: each under a guard of its own."""

    def __init__(self, protection: Protection) -> None:
        self.protection = protection
        self._guards: dict[str, ModelGuard] = {}

    def __call__(self, model: Model, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Return one valid completion per task; the time limit is multiplied by the number of tasks."""

        def work() -> list[Completion]:
            completions = model.complete(tasks, seed=seed)
            _check(completions, tasks, model.name)
            return completions

        limit = self.protection.timeout_s
        return self._guard(model).call(work, timeout_s=limit and limit * max(len(tasks), 1))

    def _guard(self, model: Model) -> ModelGuard:
        if model.name not in self._guards:
            fresh = ModelGuard(model.name, self.protection, concurrent=getattr(model, "concurrent", False))
            self._guards.setdefault(model.name, fresh)
        return self._guards[model.name]


def _within(work: Callable[[], Answer], limit_s: float | None, name: str) -> Answer:
    """Return the result of `work()`. A thread cannot be killed: past the limit it runs on, and its result is lost."""
    if limit_s is None:
        return work()
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # raised again in the caller
            future.set_exception(error)

    threading.Thread(target=run, name=f"call {name}", daemon=True).start()
    done, _ = wait([future], timeout=limit_s)
    if not done:
        raise TimeoutError(f"{name} took longer than {limit_s:g} s")
    return future.result()


def _check(completions: Sequence[Completion], tasks: Sequence[Task], name: str) -> None:
    """Raise CallError unless every task has a text, or one of its choices, as the answer."""
    if len(completions) != len(tasks):
        raise CallError(f"{name} gave {len(completions)} answers to {len(tasks)} tasks")
    for completion, task in zip(completions, tasks, strict=True):
        answer = completion.answer
        if not isinstance(answer, str) or (task.choices is not None and answer not in task.choices):
            raise CallError(f"{name} gave an answer that cannot be used")


@dataclass
class Admission:
    """A bulkhead: at most `running` requests at once and `waiting` behind them; a further one is refused at once.

    Belongs to one event loop. Invariant: accepted = answered + failed + abandoned + in_flight; refused requests are not
    accepted.
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
        """Number of accepted requests that run or wait."""
        return self.accepted - self.answered - self.failed - self.abandoned

    @asynccontextmanager
    async def admitted(self, limit_s: float | None = None) -> AsyncIterator[None]:
        """Hold one place while the block runs. Raises Overloaded if all are taken, Stopping after `drain` began.

        Waiting and the block together may take `limit_s` seconds; then TimeoutError ends them and the request failed.
        """
        if self.closing or self.in_flight >= self.running + self.waiting:
            self.refused += 1
            if self.closing:
                raise Stopping("the server is stopping")
            raise Overloaded(f"{self.in_flight} requests are in flight")
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

    def count_immediate(self) -> None:
        """Count a request that was answered at once, without a place."""
        self.accepted += 1
        self.answered += 1

    async def drain(self, timeout_s: float) -> int:
        """Refuse new requests, wait for those in flight, and return how many are unfinished after `timeout_s`."""
        self.closing = True
        if self.in_flight:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._empty.wait()
            except TimeoutError:
                pass
        return self.in_flight


@dataclass
class CircuitBreaker:
    """Opens for `open_s` seconds once `failure_share` of the last `window` calls failed, with at least `min_calls`.

    Then calls probe the model one at a time: a success closes the breaker and clears the window, a failure opens it
    again. Counting consecutive failures instead would open on a short burst, and never where every other call fails.
    Source: Nygard 2007, Release It!; a sliding window with a minimum number of calls, as in resilience4j.
    """

    window: int
    min_calls: int
    failure_share: float
    open_s: float
    now: Callable[[], float] = time.monotonic
    _failures: deque[bool] = field(init=False, repr=False)
    _opened_s: float | None = field(default=None, init=False)
    _probing: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._failures = deque(maxlen=self.window)
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether no call is let through now."""
        with self._lock:
            return self._opened_s is not None and (self._probing or self.now() - self._opened_s < self.open_s)

    def admit(self) -> bool | None:
        """Return None if the call is refused, else whether it is a probe."""
        with self._lock:
            if self._opened_s is None:
                return False
            if self._probing or self.now() - self._opened_s < self.open_s:
                return None
            self._probing = True
            return True

    def record(self, *, probe: bool, failed: bool | None) -> None:
        """Record the end of a call; `failed` is None if the call says nothing about the model."""
        with self._lock:
            self._probing = self._probing and not probe
            if failed is None or (self._opened_s is not None and not probe):
                return  # the call began before the breaker opened
            if probe and not failed:
                self._failures.clear()
                self._opened_s = None
                return
            self._failures.append(failed)
            enough = len(self._failures) >= min(self.min_calls, self.window)
            if probe or (enough and sum(self._failures) >= self.failure_share * len(self._failures)):
                self._opened_s = self.now()
