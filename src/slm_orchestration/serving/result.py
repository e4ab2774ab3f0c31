"""The result of a task: the answer, its cost and latency, and the decision behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from slm_orchestration.serving.fit import Analysis


@dataclass(frozen=True)
class ModelForecast:
    """Expected quality, cost and latency of one model before the first call.

    `fits` is False if the limits rule the model out.
    """

    model: str
    quality: float
    cost_usd: float
    latency_s: float
    fits: bool


@dataclass(frozen=True)
class Decision:
    """How a task was routed; `print` shows it.

    `models_called` are in the order of the calls, each paid; `failed_calls` are the errors of those that failed.
    `confidence` is the calibrated probability that the served answer is right. `cache` is "exact" or "semantic" for an
    answer from the cache, which calls no model; `not_kept` is why a new answer is not kept in the cache. `samples` are
    the further answers sampled for the router, each paid. `routing_s` is the time of analysis and selection.
    """

    analysis: Analysis | None = None
    candidates: tuple[ModelForecast, ...] = ()
    rule: str = ""
    models_called: tuple[str, ...] = ()
    failed_calls: tuple[str, ...] = ()
    model: str | None = None
    confidence: float | None = None
    warnings: tuple[str, ...] = ()
    cache: str | None = None
    not_kept: str | None = None
    samples: tuple[str, ...] = ()
    routing_s: float = 0.0

    def __str__(self) -> str:
        lines = [] if self.analysis is None else [f"task      {self.analysis}"]
        if self.cache is not None:
            return "\n".join([*lines, f"cache     {self.cache} hit, of {self.model}"])
        lines += [
            f"expected  {one.model}: quality {one.quality:.2f}, {one.cost_usd:.2e} USD, {one.latency_s:.2f} s"
            + ("" if one.fits else " (not allowed)")
            for one in self.candidates
        ]
        lines += [f"rule      {self.rule}"] if self.rule else []
        confidence = "" if self.confidence is None else f" (confidence {self.confidence:.2f})"
        lines.append(
            f"called    {', '.join(self.models_called) or 'none'}; served {self.model or 'nothing'}{confidence}"
        )
        lines += [f"sampled   {len(self.samples)} further answers, each paid"] if self.samples else []
        lines += [f"failed    {failure}" for failure in self.failed_calls]
        lines += [f"warning   {warning}" for warning in self.warnings]
        lines += [] if self.not_kept is None else [f"cache     not kept: {self.not_kept}"]
        return "\n".join([*lines, f"routing   {self.routing_s * 1e3:.1f} ms"])


@dataclass(frozen=True)
class Result:
    """The answer to one task, or the error in its place: exactly one of `output` and `error` is None.

    `cost_usd` is the cost of every call, failed escalations included, and of the router's time. `latency_s` is what
    the user waited; in a batch it is the router's share plus the seconds of the batches that the task was in. Tokens
    and `finish_reason` are those of the served answer. `context_exceeded` tells an error that is the prompt's length.
    """

    output: str | None
    model: str | None
    cost_usd: float
    latency_s: float
    decision: Decision = field(default_factory=Decision)
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str | None = None
    context_exceeded: bool = False
