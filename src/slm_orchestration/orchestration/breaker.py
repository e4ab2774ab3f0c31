"""A circuit breaker: a model that fails too large a share of its calls is left alone for a moment.

Source: Nygard 2007, Release It!; a sliding window of calls with a least number, as in resilience4j. Counting failures
in a row instead opens on a burst that ends by itself, and never opens where every other call fails.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


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
