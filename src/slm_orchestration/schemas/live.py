"""What is measured live: load and faults."""

from __future__ import annotations

from slm_orchestration.schemas.dictionary import COUNT, NUMBER, POSITIVE, SHARE, TEXT, column, schema

LOAD = schema(
    "LOAD",
    ["path", "mode", "level"],
    [
        column("path", TEXT, "what was loaded: routing, cache (in process), gateway_cache, gateway_model (loopback)"),
        column("mode", TEXT, "open (Poisson arrivals) or closed (clients that wait for their answer)"),
        column("level", NUMBER, "offered requests per second if open, clients if closed", limits=POSITIVE),
        column("seconds", NUMBER, "from the first intended start to the last end", limits=POSITIVE),
        column("requests", COUNT, "sent", limits=POSITIVE),
        column("answered", COUNT, "with the answer that was asked for", limits=POSITIVE),
        column("refused", COUNT, "turned away: overloaded, stopping", limits=POSITIVE),
        column("failed", COUNT, "any other error", limits=POSITIVE),
        column("lost", COUNT, "without any end", limits=POSITIVE),
        column("achieved_rps", NUMBER, "answered requests per second", limits=POSITIVE),
        column("achieved_low", NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        column("achieved_high", NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        column("p50_s", NUMBER, "median seconds from the intended start", nullable=True, limits=POSITIVE),
        column("p50_low", NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        column("p50_high", NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        column("p99_s", NUMBER, "99th percentile, as p50_s", nullable=True, limits=POSITIVE),
        column("p99_low", NUMBER, "lower end of its 95 % interval over windows", nullable=True),
        column("p99_high", NUMBER, "upper end of its 95 % interval over windows", nullable=True),
        column("p999_s", NUMBER, "99.9th percentile, as p50_s", nullable=True, limits=POSITIVE),
        column("server_cores", NUMBER, "processor seconds per second that the server took", limits=POSITIVE),
        column(
            "client_cores",
            NUMBER,
            "those of the load generator; null in process, where both are one",
            nullable=True,
            limits=POSITIVE,
        ),
        column("memory_first_bytes", COUNT, "resident memory of the server in the first window", limits=POSITIVE),
        column("memory_last_bytes", COUNT, "and in the last", limits=POSITIVE),
    ],
)

LOAD_WINDOWS = schema(
    "LOAD_WINDOWS",
    ["path", "mode", "level", "window"],
    [
        column("path", TEXT, "as in LOAD"),
        column("mode", TEXT, "as in LOAD"),
        column("level", NUMBER, "as in LOAD", limits=POSITIVE),
        column("window", COUNT, "consecutive stretches of equal length, from 0", limits=POSITIVE),
        column("end_s", NUMBER, "seconds from the first intended start to the window's end", limits=POSITIVE),
        column("answered", COUNT, "requests intended in the window and answered", limits=POSITIVE),
        column("p50_s", NUMBER, "their median seconds", nullable=True, limits=POSITIVE),
        column("p99_s", NUMBER, "their 99th percentile", nullable=True, limits=POSITIVE),
        column("memory_bytes", COUNT, "resident memory of the server at the window's end", limits=POSITIVE),
    ],
)

FAULTS = schema(
    "FAULTS",
    ["fault", "rate", "protection"],
    [
        column("fault", TEXT, "what injected calls do: fail, stall, garbage or die"),
        column("rate", NUMBER, "share of calls to the cheapest model in which it happens", limits=SHARE),
        column("protection", TEXT, "none, timeout, retry, breaker, fallback, rounds or all"),
        column("requests", COUNT, "sent", limits=POSITIVE),
        column("answered", COUNT, "with a usable answer within the deadline", limits=POSITIVE),
        column("late", COUNT, "with a usable answer after the deadline", limits=POSITIVE),
        column("wrong", COUNT, "with an answer that cannot be used", limits=POSITIVE),
        column("refused", COUNT, "ended with an error", limits=POSITIVE),
        column("lost", COUNT, "without any end", limits=POSITIVE),
        column("availability", NUMBER, "answered over requests", limits=SHARE),
        column("low", NUMBER, "lower end of its 95 % interval (Wilson; over requests)", limits=SHARE),
        column("high", NUMBER, "upper end of its 95 % interval", limits=SHARE),
        column("p50_s", NUMBER, "median seconds of all ends", limits=POSITIVE),
        column("p99_s", NUMBER, "99th percentile of all ends", limits=POSITIVE),
        column("calls_per_request", NUMBER, "calls to any model: what the protection costs", limits=POSITIVE),
    ],
)
