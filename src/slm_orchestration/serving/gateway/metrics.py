"""What the gateway counts, for Prometheus. Never a prompt, nor anything else that a client wrote."""

from __future__ import annotations

from functools import cache, partial
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from slm_orchestration.serving.gateway.openai_api import Reply
from slm_orchestration.serving.resilience import Admission

Metric = TypeVar("Metric", Counter, Gauge, Histogram)
_OURS: dict[str, Any] = {"namespace": "slm_orchestration", "registry": None}
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one gateway, in a registry of their own."""

    def __init__(self, admission: Admission) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self._register(Counter("requests", "Chat requests by final status", ["status"], **_OURS))
        self._seconds = self._register(
            Histogram("request_seconds", "From request to answer", buckets=_SECONDS, **_OURS)
        )
        self._answers = self._register(Counter("answers", "Answers by model and cache", ["model", "cache"], **_OURS))
        self._tokens = self._register(
            Counter("tokens", "Tokens by model and direction", ["model", "direction"], **_OURS)
        )
        self._usd = self._register(Counter("cost_usd", "What the answers cost, in US dollars", **_OURS))
        for end in ("in_flight", "accepted", "answered", "failed", "abandoned", "refused"):
            gauge = self._register(Gauge(f"admission_{end}", f"Requests {end.replace('_', ' ')}", **_OURS))
            gauge.set_function(partial(getattr, admission, end))

        # Finding a counter by its labels takes longer than counting.
        self._by_status, self._by_model = cache(self._requests.labels), cache(self._answers.labels)

    def _register(self, metric: Metric) -> Metric:
        self.registry.register(metric)
        return metric

    def ended(self, status: int, seconds: float) -> None:
        """Count a chat request that ended with the HTTP `status`; 499 is a client that left."""
        self._by_status(str(status)).inc()
        self._seconds.observe(seconds)

    def answered(self, reply: Reply) -> None:
        """Count an answer."""
        self._by_model(reply.model, reply.cache or "none").inc()
        if reply.cache is None:
            self._tokens.labels(reply.model, "read").inc(reply.prompt_tokens)
            self._tokens.labels(reply.model, "written").inc(reply.completion_tokens)
        self._usd.inc(reply.cost_usd)

    def text(self) -> bytes:
        """Return everything in Prometheus' text form."""
        return generate_latest(self.registry)
