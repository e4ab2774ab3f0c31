"""Prometheus metrics of the gateway; none contains text that a client sent."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from slm_orchestration.serving.gateway.openai_api import Reply
from slm_orchestration.serving.resilience import Admission

Metric = TypeVar("Metric", Counter, Gauge, Histogram)
_COMMON: dict[str, Any] = {"namespace": "slm_orchestration", "registry": None}
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The metrics of one gateway, in their own registry."""

    def __init__(self, admission: Admission, cache_failures: Callable[[], int] = int) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self._register(Counter("requests", "Chat requests by final status", ["status"], **_COMMON))
        self._seconds = self._register(
            Histogram("request_seconds", "From request to answer", buckets=_BUCKETS_S, **_COMMON)
        )
        self._answers = self._register(Counter("answers", "Answers by model and cache", ["model", "cache"], **_COMMON))
        self._tokens = self._register(
            Counter("tokens", "Tokens by model and kind: prompt or completion", ["model", "kind"], **_COMMON)
        )
        self._usd = self._register(Counter("cost_usd", "What the answers cost, in US dollars", **_COMMON))
        for state in ("in_flight", "accepted", "answered", "failed", "abandoned", "refused"):
            gauge = self._register(Gauge(f"admission_{state}", f"Requests {state.replace('_', ' ')}", **_COMMON))
            gauge.set_function(partial(getattr, admission, state))

        failures = self._register(Gauge("cache_failures", "Errors of the file of the cache", **_COMMON))
        failures.set_function(cache_failures)
        # Cached, because looking up a counter by its labels takes longer than counting.
        self._by_status, self._by_model = cache(self._requests.labels), cache(self._answers.labels)

    def _register(self, metric: Metric) -> Metric:
        self.registry.register(metric)
        return metric

    def count_request(self, status: int, seconds: float) -> None:
        """Count a chat request that ended with the HTTP `status`; 499 is a client that disconnected."""
        self._by_status(str(status)).inc()
        self._seconds.observe(seconds)

    def count_answer(self, reply: Reply) -> None:
        """Count an answer with its tokens and cost."""
        self._by_model(reply.model, reply.cache or "none").inc()
        if reply.cache is None:
            self._tokens.labels(reply.model, "prompt").inc(reply.prompt_tokens)
            self._tokens.labels(reply.model, "completion").inc(reply.completion_tokens)
        self._usd.inc(reply.cost_usd)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
