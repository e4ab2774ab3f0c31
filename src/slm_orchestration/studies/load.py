"""Load generation in open and closed loop: each latency counts from the intended start of the request.

A client that waits for a slow answer before it sends its next request hides the latency of those that it did not send
("coordinated omission", Tene 2013). In open loop the starts are drawn in advance and do not depend on the answers.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

ANSWERED, REFUSED, FAILED, LOST = "answered", "refused", "failed", "lost"
Send = Callable[[int], Awaitable[str]]
WINDOWS = 10
_OK = 200


@dataclass
class LoadMeasurement:
    """Intended start and end of each request, in seconds from the first start, and how it ended (`ends`)."""

    intended_s: list[float] = field(default_factory=list)
    ended_s: list[float] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def add(self, intended_s: float, ended_s: float, end: str) -> None:
        """Add one request."""
        self.intended_s.append(intended_s)
        self.ended_s.append(ended_s)
        self.ends.append(end)


def arrivals(rate: float, seconds: float, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the times of a Poisson process of `rate` per second in the first `seconds`, the first one at 0."""
    if rate <= 0 or seconds <= 0:
        raise ValueError(f"rate={rate}, seconds={seconds}: allowed are numbers above 0")
    gaps = rng.exponential(1 / rate, size=int(rate * seconds + 10 * np.sqrt(rate * seconds) + 10))
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    return times[times < seconds]


async def open_loop(send: Send, starts_s: NDArray[np.float64], *, patience_s: float) -> LoadMeasurement:
    """Send request i at `starts_s[i]`, whatever the others do; after `patience_s` a request counts as lost.

    When cancelled, it sends no more, waits for the requests in flight and returns the measurement so far.
    """
    measured, began = LoadMeasurement(), time.perf_counter()
    running: set[asyncio.Task[None]] = set()

    async def one(number: int, intended_s: float) -> None:
        end = await _end(send, number, patience_s)
        measured.add(intended_s, time.perf_counter() - began, end)

    for number, intended_s in enumerate(starts_s.tolist()):
        wait_s = intended_s - (time.perf_counter() - began)
        # A late request is sent at once. Every 50th yields to the event loop, so that answers are received meanwhile.
        if wait_s > 0.0005 or number % 50 == 49:
            try:
                await asyncio.sleep(max(wait_s, 0.0))
            except asyncio.CancelledError:
                break
        task = asyncio.create_task(one(number, intended_s))
        running.add(task)
        task.add_done_callback(running.discard)
    if running:
        await asyncio.wait(running)
    return measured


async def closed_loop(send: Send, clients: int, seconds: float, *, patience_s: float) -> LoadMeasurement:
    """Let each client send its next request as soon as it has its answer, for `seconds`.

    When cancelled, it abandons the requests in flight and returns the measurement so far.
    """
    measured, began = LoadMeasurement(), time.perf_counter()
    number = iter(range(2**62))

    async def client() -> None:
        while (start_s := time.perf_counter() - began) < seconds:
            end = await _end(send, next(number), patience_s)
            measured.add(start_s, time.perf_counter() - began, end)

    with suppress(asyncio.CancelledError):
        await asyncio.gather(*[client() for _ in range(clients)])
    return measured


async def _end(send: Send, number: int, patience_s: float) -> str:
    try:
        async with asyncio.timeout(patience_s):
            return await send(number)
    except TimeoutError:
        return LOST


def summary(measured: LoadMeasurement) -> dict[str, float | int | None]:
    """Return the counts, the rate and the percentiles of a LOAD row.

    Intervals are by sectioning (Asmussen and Glynn 2007, chapter III.5), as consecutive latencies are correlated:
    Student's t around the value of the whole run, with the deviations of consecutive windows from it. For a queue that
    keeps growing there is no steady state, and the interval only shows the spread of the windows. Raises ValueError if
    no request has ended.
    """
    if not measured.ends:
        raise ValueError("no request has ended, so there is nothing to measure")
    ends = pd.Series(measured.ends).value_counts()
    answered = np.array(measured.ends) == ANSWERED
    ended_s = np.array(measured.ended_s)
    latency_s = (ended_s - np.array(measured.intended_s))[answered]
    seconds = float(ended_s.max())
    row: dict[str, float | int | None] = {"seconds": seconds, "requests": len(measured.ends)}
    row |= {end: int(ends.get(end, 0)) for end in (ANSWERED, REFUSED, FAILED, LOST)}
    row["achieved_rps"] = float(answered.sum() / seconds)
    completed, _ = np.histogram(ended_s[answered], bins=WINDOWS, range=(0, seconds))
    row["achieved_low"], row["achieved_high"] = _interval(completed * WINDOWS / seconds, row["achieved_rps"])
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
        row[f"{name}_s"] = float(np.quantile(latency_s, share)) if latency_s.size else None
    parts = windows(measured)
    for name in ("p50", "p99"):
        values = parts[f"{name}_s"].dropna().to_numpy(dtype=float)
        row[f"{name}_low"], row[f"{name}_high"] = _interval(values, row[f"{name}_s"])
    return row


def windows(measured: LoadMeasurement, number: int = WINDOWS) -> pd.DataFrame:
    """Return answered requests and latency percentiles in `number` consecutive windows of intended starts."""
    intended, ended = np.array(measured.intended_s), np.array(measured.ended_s)
    answered = np.array(measured.ends) == ANSWERED
    edges = np.linspace(0, intended.max() + 1e-9, number + 1)
    rows = []
    for window, (low, high) in enumerate(pairwise(edges)):
        inside = (intended >= low) & (intended < high) & answered
        latency_s = (ended - intended)[inside]
        quantiles = np.quantile(latency_s, [0.5, 0.99]) if latency_s.size else (np.nan, np.nan)
        rows.append((window, high, int(inside.sum()), *quantiles))
    return pd.DataFrame(rows, columns=["window", "end_s", "answered", "p50_s", "p99_s"])


def _interval(values: NDArray[np.float64], whole: float | None) -> tuple[float | None, float | None]:
    if values.size < 2 or whole is None:
        return None, None
    spread = np.sqrt(np.sum((values - whole) ** 2) / (values.size - 1))
    half = float(stats.t.ppf(0.975, values.size - 1) * spread / np.sqrt(values.size))
    return max(whole - half, 0.0), whole + half


class LoadClient:
    """A minimal HTTP client with keep-alive connections, cheap enough that the load measures the server.

    A response without the bytes `expected` (for example, one that is not from the cache) counts as failed.
    """

    def __init__(self, host: str, port: int, expected: bytes = b"") -> None:
        self._where = host, port
        self._expected = expected
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def chat(self, text: str, max_tokens: int | None = None) -> str:
        """Send one chat and return how it ended."""
        asked = {"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": max_tokens}
        body = json.dumps(asked).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        sent, reused = head.encode() + body, bool(self._idle)
        try:
            status = await self._status(sent)
        except (OSError, asyncio.IncompleteReadError):
            if not reused:
                return FAILED
            # The server may have closed an idle connection at this moment; HTTP clients then retry on a new one.
            self.close()
            return await self.chat(text, max_tokens)
        return {_OK: ANSWERED, 429: REFUSED, 503: REFUSED}.get(status, FAILED)

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop()[1].close()

    async def _status(self, sent: bytes) -> int:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._where)
        try:
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
            body = await reader.readexactly(int(length))
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        status = int(head[9:12])
        return status if status != _OK or self._expected in body else 0
