"""Fault injection: models that fail on purpose, and the availability that a protection gives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

import numpy as np

from slm_orchestration.models.model import CallError, Completion
from slm_orchestration.serving.resilience import Protection
from slm_orchestration.serving.result import Result
from slm_orchestration.statistics.intervals import wilson
from slm_orchestration.tasks.task import Task

FAULTS = ("fail", "stall", "garbage", "die")
ANSWER = "a usable answer"
_GARBAGE = None  # not a text, as a broken server may return
_PER_TOKEN = ("logprob_mean", "logprob_min", "logprob_q10", "logprob_q50")


@dataclass(frozen=True)
class FaultTimings:
    """Seconds of a call, of a stalled call, of a restart, and until a client's deadline."""

    call_s: float = 0.005
    stall_s: float = 2.0
    restart_s: float = 0.1
    deadline_s: float = 1.0


@dataclass
class FaultyModel:
    """A scripted model whose calls take `scene.call_s` and fail at random with probability `rate`, as `fault` says.

    fail: an error. stall: the answer after `stall_s`. garbage: an answer that is not a text. die: an error in this call
    and in all calls until the model has restarted.
    """

    name: str
    fault: str
    rate: float
    scene: FaultTimings
    seed: int
    calls: int = field(default=0, init=False)
    concurrent = True

    def __post_init__(self) -> None:
        if self.fault not in FAULTS or not 0 <= self.rate <= 1:
            raise ValueError(f"fault={self.fault}, rate={self.rate}: allowed are {', '.join(FAULTS)} and 0 to 1")
        self._rng = np.random.default_rng(self.seed)
        self._lock = threading.Lock()
        self._dead_until_s = 0.0

    def prompt_lengths(self, tasks: Sequence[Task]) -> list[int]:
        """Return 1 per task: lengths do not matter here."""
        return [1 for _ in tasks]

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Return the answers, or fail as configured. Raises CallError."""
        with self._lock:
            self.calls += 1
            faulty = bool(self._rng.random() < self.rate)
            dead = time.perf_counter() < self._dead_until_s
            if faulty and self.fault == "die" and not dead:
                self._dead_until_s = time.perf_counter() + self.scene.restart_s
        if dead or (faulty and self.fault in ("fail", "die")):
            raise CallError(f"{self.name} is down")
        time.sleep(self.scene.stall_s if faulty and self.fault == "stall" else self.scene.call_s)
        answer = _GARBAGE if faulty and self.fault == "garbage" else ANSWER
        signals = {"logprob_sum": -0.1, **dict.fromkeys(_PER_TOKEN, -0.1)}
        return [Completion(answer, 1, 3, self.scene.call_s, signals, "stop") for _ in tasks]  # type: ignore[arg-type]


@dataclass(frozen=True)
class ProtectionSetup:
    """A protection: how calls are guarded, whether another model may answer, how many rounds over all models."""

    guard: Protection
    fallback: bool = False
    rounds: int = 1


def protections(scene: FaultTimings) -> dict[str, ProtectionSetup]:
    """Return each protection alone, none of them, and all of them, as the server runs."""
    timeout_s = scene.deadline_s / 5  # leaves time for another attempt and another model
    none = Protection(timeout_s=None, attempts=1, open_at=None)
    breaker = replace(none, open_at=0.5, open_s=scene.restart_s / 2)
    everything = replace(breaker, timeout_s=timeout_s, attempts=2, backoff_s=0.01)
    return {
        "none": ProtectionSetup(none),
        "timeout": ProtectionSetup(replace(none, timeout_s=timeout_s)),
        "retry": ProtectionSetup(replace(none, attempts=2, backoff_s=0.01)),
        "breaker": ProtectionSetup(breaker),
        "fallback": ProtectionSetup(none, fallback=True),
        "rounds": ProtectionSetup(none, fallback=True, rounds=6),
        "all": ProtectionSetup(everything, fallback=True, rounds=6),
    }


def send_requests(
    answer: Callable[[str], Result], requests: Iterable[str], *, clients: int, scene: FaultTimings
) -> list[tuple]:
    """Send the requests from `clients` threads; return how each ended (answered, late, ..., lost) and its seconds."""

    def one(request: str) -> tuple[str, float]:
        began = time.perf_counter()
        result = answer(request)
        seconds = time.perf_counter() - began
        if result.error is not None:
            return "refused", seconds
        if result.output != ANSWER:
            return "wrong", seconds
        return ("answered" if seconds <= scene.deadline_s else "late"), seconds

    pool = ThreadPoolExecutor(clients)
    running = [pool.submit(one, request) for request in requests]
    # Long enough for every request of a client to stall; a request that has not ended by then is lost.
    done, _ = wait(running, timeout=60 + 4 * scene.stall_s * len(running) / clients)
    pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() if future in done else ("lost", np.nan) for future in running]


def faults_row(ended: Sequence[tuple], *, calls: int) -> dict[str, float | int]:
    """Return a FAULTS row: counts, availability with its Wilson interval, and percentiles of seconds."""
    ends, seconds = [end for end, _ in ended], np.array([taken for _, taken in ended], dtype=float)
    counts: dict[str, float | int] = {end: ends.count(end) for end in ("answered", "late", "wrong", "refused", "lost")}
    availability = counts["answered"] / len(ended)
    low, high = wilson(availability, len(ended), level=0.95)
    p50_s, p99_s = np.nanquantile(seconds, [0.5, 0.99])
    shares = {"availability": availability, "low": low, "high": high, "p50_s": float(p50_s), "p99_s": float(p99_s)}
    return {"requests": len(ended), **counts, **shares, "calls_per_request": calls / len(ended)}
