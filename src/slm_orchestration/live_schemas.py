"""The data dictionary of what is measured live: load and faults. Written and read like every other table."""

from __future__ import annotations

import pyarrow as pa

from slm_orchestration.schemas import _column, _schema

_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()
_SHARE, _POSITIVE = (0.0, 1.0), (0.0, float("inf"))

LOAD = _schema(
    "LOAD",
    ["path", "mode", "level"],
    [
        _column("path", _TEXT, "what was loaded: routing, cache (in process), gateway_cache, gateway_model (loopback)"),
        _column("mode", _TEXT, "open (Poisson arrivals) or closed (clients that wait for their answer)"),
        _column("level", _NUMBER, "offered requests per second if open, clients if closed", limits=_POSITIVE),
        _column("seconds", _NUMBER, "from the first intended start to the last end", limits=_POSITIVE),
        _column("requests", _COUNT, "sent", limits=_POSITIVE),
        _column("answered", _COUNT, "with the answer that was asked for", limits=_POSITIVE),
        _column("refused", _COUNT, "turned away: overloaded, stopping", limits=_POSITIVE),
        _column("failed", _COUNT, "any other error", limits=_POSITIVE),
        _column("lost", _COUNT, "without any end", limits=_POSITIVE),
        _column("achieved_rps", _NUMBER, "answered requests per second", limits=_POSITIVE),
        _column("achieved_low", _NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        _column("achieved_high", _NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        _column("p50_s", _NUMBER, "median seconds from the intended start", nullable=True, limits=_POSITIVE),
        _column("p50_low", _NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        _column("p50_high", _NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        _column("p99_s", _NUMBER, "99th percentile, as p50_s", nullable=True, limits=_POSITIVE),
        _column("p99_low", _NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        _column("p99_high", _NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        _column("p999_s", _NUMBER, "99.9th percentile, as p50_s", nullable=True, limits=_POSITIVE),
        _column("server_cores", _NUMBER, "processor seconds per second that the server took", limits=_POSITIVE),
        _column(
            "client_cores",
            _NUMBER,
            "those of the load generator; null in process, where both are one",
            nullable=True,
            limits=_POSITIVE,
        ),
        _column("memory_first_bytes", _COUNT, "resident memory of the server in the first window", limits=_POSITIVE),
        _column("memory_last_bytes", _COUNT, "and in the last", limits=_POSITIVE),
    ],
)

LOAD_WINDOWS = _schema(
    "LOAD_WINDOWS",
    ["path", "mode", "level", "window"],
    [
        _column("path", _TEXT, "as in LOAD"),
        _column("mode", _TEXT, "as in LOAD"),
        _column("level", _NUMBER, "as in LOAD", limits=_POSITIVE),
        _column("window", _COUNT, "consecutive stretches of equal length, from 0", limits=_POSITIVE),
        _column("end_s", _NUMBER, "seconds from the first intended start to the window's end", limits=_POSITIVE),
        _column("answered", _COUNT, "requests intended in the window and answered", limits=_POSITIVE),
        _column("p50_s", _NUMBER, "their median seconds", nullable=True, limits=_POSITIVE),
        _column("p99_s", _NUMBER, "their 99th percentile", nullable=True, limits=_POSITIVE),
        _column("memory_bytes", _COUNT, "resident memory of the server at the window's end", limits=_POSITIVE),
    ],
)

FAULTS = _schema(
    "FAULTS",
    ["fault", "rate", "protection"],
    [
        _column("fault", _TEXT, "what injected calls do: fail, stall, garbage or die"),
        _column("rate", _NUMBER, "share of calls to the cheapest model in which it happens", limits=_SHARE),
        _column("protection", _TEXT, "none, timeout, retry, breaker, fallback, rounds or all"),
        _column("requests", _COUNT, "sent", limits=_POSITIVE),
        _column("answered", _COUNT, "with a usable answer within the deadline", limits=_POSITIVE),
        _column("late", _COUNT, "with a usable answer after the deadline", limits=_POSITIVE),
        _column("wrong", _COUNT, "with an answer that cannot be used", limits=_POSITIVE),
        _column("refused", _COUNT, "ended with an error", limits=_POSITIVE),
        _column("lost", _COUNT, "without any end", limits=_POSITIVE),
        _column("availability", _NUMBER, "answered over requests", limits=_SHARE),
        _column("low", _NUMBER, "lower end of its 95 % interval (Wilson; over requests)", limits=_SHARE),
        _column("high", _NUMBER, "upper end of its 95 % interval", limits=_SHARE),
        _column("p50_s", _NUMBER, "median seconds of all ends", limits=_POSITIVE),
        _column("p99_s", _NUMBER, "99th percentile of all ends", limits=_POSITIVE),
        _column("calls_per_request", _NUMBER, "calls to any model: what the protection costs", limits=_POSITIVE),
    ],
)
