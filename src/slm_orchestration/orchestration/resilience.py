"""Survive models that fail: timeouts, retries, circuit breakers and fallback per call; a bulkhead around requests.

Retries are tenacity's, the breaker is that of the package circuitbreaker (Nygard, Release It!, 2007). Every request
that `Admission` lets in ends answered, failed or abandoned by its client, and is counted as that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from circuitbreaker import STATE_HALF_OPEN, CircuitBreaker
from tenacity import AsyncRetrying, retry_if_exception_type, retry_if_not_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from slm_orchestration.models.model import CallError

Answer = TypeVar("Answer")

# What a model may do to a caller: CallError and torch's errors are RuntimeErrors, timeouts and networks OSErrors.
FAILURES = (RuntimeError, OSError)
_LONGEST_PAUSE_S = 5.0


class BreakerOpen(CallError):
    """The model failed so often that it is not asked for a while."""


class Unavailable(CallError):
    """Neither the chosen model nor a fallback answered; the message says why for each."""


class Overloaded(RuntimeError):
    """A request was refused at the door: too many are running and waiting, or the server is stopping."""


@dataclass(frozen=True)
class Protection:
    """How one model is guarded; null, or one attempt, leaves a protection out.

    A call that takes longer than `timeout_s` failed. A failed call is tried again until there were `attempts`, after a
    random pause of at most `backoff_s`, doubled each time. After `failures_to_open` failures in a row the model is
    not asked for `open_s` seconds (whole ones); then a single call finds out whether it is back.
    """

    timeout_s: float | None = 120.0
    attempts: int = 2
    backoff_s: float = 0.1
    failures_to_open: int | None = 5
    open_s: int = 10

    def __post_init__(self) -> None:
        for name in ("timeout_s", "attempts", "failures_to_open", "open_s"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise ValueError(f"{name}={value}: allowed is a number above 0")
        if self.backoff_s < 0:
            raise ValueError(f"backoff_s={self.backoff_s}: allowed is a number from 0")


class Guard:
    """Calls one model under its protection. Belongs to one event loop."""

    def __init__(self, name: str, protection: Protection) -> None:
        self.name = name
        self.protection = protection
        limit = protection.failures_to_open
        self._breaker = CircuitBreaker(limit, protection.open_s, FAILURES, name) if limit else None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether calls are refused because the model failed too often."""
        return self._breaker is not None and self._breaker.opened

    async def call(
        self, work: Callable[[], Awaitable[Answer]], *, accepts: Callable[[Answer], bool] | None = None
    ) -> Answer:
        """Return what `work()` gives; an answer that `accepts` refuses is a failure too.

        Raises BreakerOpen without calling, and the last failure (FAILURES) when every attempt failed.
        """
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.protection.attempts),
            wait=wait_random_exponential(multiplier=self.protection.backoff_s, max=_LONGEST_PAUSE_S),
            retry=retry_if_exception_type(FAILURES) & retry_if_not_exception_type(BreakerOpen),
            reraise=True,
        )
        return await retrying(self._attempt, work, accepts)

    async def _attempt(self, work: Callable[[], Awaitable[Answer]], accepts: Callable[[Answer], bool] | None) -> Answer:
        breaker = self._breaker
        if breaker is None:
            return await self._timed(work, accepts)
        half_open = breaker.state == STATE_HALF_OPEN
        if breaker.opened or (half_open and self._probing):
            raise BreakerOpen(f"{self.name} failed {breaker.failure_count} times in a row and is left alone")
        self._probing = half_open
        try:
            answer = await self._timed(work, accepts)
        except FAILURES:
            with breaker:  # counts the failure
                raise
        finally:
            # A call that was cancelled says nothing about the model, so it neither counts nor resets.
            self._probing = self._probing and not half_open
        breaker.reset()
        return answer

    async def _timed(self, work: Callable[[], Awaitable[Answer]], accepts: Callable[[Answer], bool] | None) -> Answer:
        try:
            async with asyncio.timeout(self.protection.timeout_s) as limit:
                answer = await work()
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError(f"{self.name} took longer than {self.protection.timeout_s:g} s") from error
            raise
        if accepts is not None and not accepts(answer):
            raise CallError(f"{self.name} gave an answer that cannot be used")
        return answer


@dataclass(frozen=True)
class Answered(Generic[Answer]):
    """An answer, the model that gave it, and why those asked before it did not."""

    model: str
    answer: Answer
    failures: tuple[str, ...]


async def first_answer(
    guards: Sequence[Guard],
    ask: Callable[[str], Awaitable[Answer]],
    *,
    accepts: Callable[[Answer], bool] | None = None,
) -> Answered[Answer]:
    """Ask the chosen model, the first of `guards`, then each fallback in turn; `ask` takes a model's name.

    Raises Unavailable where none answers.
    """
    failures: list[str] = []
    for guard in guards:
        try:
            answer = await guard.call(partial(ask, guard.name), accepts=accepts)
        except FAILURES as error:
            failures.append(str(error) or type(error).__name__)
        else:
            return Answered(guard.name, answer, tuple(failures))
    raise Unavailable("; ".join(failures))


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
    async def admitted(self) -> AsyncIterator[None]:
        """Hold one place while the block runs. Raises Overloaded where there is none."""
        if self.closing or self.in_flight >= self.running + self.waiting:
            self.refused += 1
            raise Overloaded("the server is stopping" if self.closing else f"{self.in_flight} requests are in flight")
        self.accepted += 1
        self._empty.clear()
        try:
            async with self._slots:
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
