"""How many calls a server takes at a time: a given number, or one that is found while calling."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType

_FIRST, _MOST = 8, 256
_LEAST_TIMED = 16  # calls of a window; fewer say little, since tasks differ
_GAIN = 1.1  # a larger limit must finish this many times the calls per second to be worth it


class Concurrency:
    """At most `limit` calls at a time: `async with` takes a slot. `limit` None finds it.

    It begins at 8. After `limit` calls, as many more, and at least 16, are timed and give the calls per second. The
    limit grows by a half while the larger of the last two limits finished a tenth more calls per second than the
    smaller, else it shrinks by a third; so it stays near the least that keeps the server busy. An overload halves it.
    """

    def __init__(self, limit: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit or _FIRST
        self._found, self._clock = limit is None, clock
        self._slots = asyncio.Semaphore(self.limit)
        self._surplus = 0  # slots to give up when their calls end, since the limit shrank
        self._changed_s, self._timed_from_s, self._finished = clock(), 0.0, 0
        self._before: tuple[int, float] | None = None  # the limit of the last window and its calls per second

    async def __aenter__(self) -> None:
        await self._slots.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._surplus:
            self._surplus -= 1
        else:
            self._slots.release()

    def finished(self) -> None:
        """Count a call that the server answered."""
        if not self._found:
            return
        self._finished += 1
        now = self._clock()
        if self._finished == self.limit:  # the calls before were made under the last limit
            self._timed_from_s = now
        elif self._finished >= self.limit + max(self.limit, _LEAST_TIMED) and now > self._timed_from_s:
            window = (self.limit, (self._finished - self.limit) / (now - self._timed_from_s))
            grows = _larger_pays(self._before, window)
            self._before = window
            self._change(self.limit + max(1, self.limit // 2) if grows else self.limit * 2 // 3)

    def overloaded(self, started_s: float) -> None:
        """Halve the limit, unless the call was made before it last changed: many calls meet the same overload."""
        if self._found and started_s >= self._changed_s:
            self._before = None
            self._change(self.limit // 2)

    def _change(self, limit: int) -> None:
        limit = min(max(limit, 1), _MOST)
        self._surplus += self.limit - limit
        while self._surplus < 0:
            self._slots.release()
            self._surplus += 1
        self.limit, self._finished, self._changed_s = limit, 0, self._clock()


def _larger_pays(before: tuple[int, float] | None, now: tuple[int, float]) -> bool:
    """Return whether the larger of two limits finished clearly more calls per second; True where there are not two."""
    if before is None or before[0] == now[0]:
        return True
    (_, of_smaller), (_, of_larger) = sorted((before, now))
    return of_larger > _GAIN * of_smaller
