"""Models that fail on purpose, and what becomes of the requests to them."""

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
_GARBAGE = None  # an answer that is no text, as a broken server gives


@dataclass(frozen=True)
class Scene:
    """How long things take, in seconds: a call, a stalled call, a dead model's restart, and what a client waits."""

    call_s: float = 0.005
    stall_s: float = 2.0
    restart_s: float = 0.1
    deadline_s: float = 1.0


@dataclass
class FaultyModel:
    """Answers in `scene.call_s`, but in a share `rate` of its calls does what `fault` says, drawn from `seed`.

    fail: an error. stall: the answer after `stall_s`. garbage: an answer that is no text. die: an error, in this call
    and in every one until the model has restarted.
    """

    name: str
    fault: str
    rate: float
    scene: Scene
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
        """Return one token for each task: nothing here depends on it."""
        return [1 for _ in tasks]

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Answer, or do what the fault says."""
        with self._lock:
            self.calls += 1
            struck = bool(self._rng.random() < self.rate)
            dead = time.perf_counter() < self._dead_until_s
            if struck and self.fault == "die" and not dead:
                self._dead_until_s = time.perf_counter() + self.scene.restart_s
        if dead or (struck and self.fault in ("fail", "die")):
            raise CallError(f"{self.name} is down")
        time.sleep(self.scene.stall_s if struck and self.fault == "stall" else self.scene.call_s)
        answer = _GARBAGE if struck and self.fault == "garbage" else ANSWER
        signals = {"logprob_sum": -0.1, **dict.fromkeys(_PER_TOKEN, -0.1)}
        return [Completion(answer, 1, 3, self.scene.call_s, signals, "stop") for _ in tasks]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Shield:
    """A protection as it is measured: how calls are guarded, whether another model may answer, rounds of asking."""

    guard: Protection
    fallback: bool = False
    rounds: int = 1


def protections(scene: Scene) -> dict[str, Shield]:
    """Return each protection alone, none and all, which is how the server runs in small."""
    timeout_s = scene.deadline_s / 5  # so that there is time left for another attempt and another model
    none = Protection(timeout_s=None, attempts=1, open_at=None)
    breaker = replace(none, open_at=0.5, open_s=scene.restart_s / 2)
    everything = replace(breaker, timeout_s=timeout_s, attempts=2, backoff_s=0.01)
    return {
        "none": Shield(none),
        "timeout": Shield(replace(none, timeout_s=timeout_s)),
        "retry": Shield(replace(none, attempts=2, backoff_s=0.01)),
        "breaker": Shield(breaker),
        "fallback": Shield(none, fallback=True),
        "rounds": Shield(none, fallback=True, rounds=6),
        "all": Shield(everything, fallback=True, rounds=6),
    }


def outcomes(answer: Callable[[str], Result], requests: Iterable[str], *, clients: int, scene: Scene) -> list[tuple]:
    """Send the requests from `clients` threads; return how each ended and after how many seconds; None is lost."""

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
    # Enough for every client to meet a stall with each of its requests; who has not ended by then never will.
    done, _ = wait(running, timeout=60 + 4 * scene.stall_s * len(running) / clients)
    pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() if future in done else ("lost", np.nan) for future in running]


def row(ended: Sequence[tuple], *, calls: int) -> dict[str, float | int]:
    """Return the counts, the availability with Wilson's interval, and the seconds of a FAULTS row."""
    ends, seconds = [end for end, _ in ended], np.array([taken for _, taken in ended], dtype=float)
    counts: dict[str, float | int] = {end: ends.count(end) for end in ("answered", "late", "wrong", "refused", "lost")}
    availability = counts["answered"] / len(ended)
    low, high = wilson(availability, len(ended), level=0.95)
    p50_s, p99_s = np.nanquantile(seconds, [0.5, 0.99])
    shares = {"availability": availability, "low": low, "high": high, "p50_s": float(p50_s), "p99_s": float(p99_s)}
    return {"requests": len(ended), **counts, **shares, "calls_per_request": calls / len(ended)}


_PER_TOKEN = ("logprob_mean", "logprob_min", "logprob_q10", "logprob_q50")
