"""What comes back for a task: the answer, what it took, and the decision that explains itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from slm_orchestration.serving.fit import Analysis


@dataclass(frozen=True)
class Candidate:
    """What was expected of one model before any was called; `fits` says whether the limits and failures allow it."""

    model: str
    quality: float
    cost_usd: float
    latency_s: float
    fits: bool


@dataclass(frozen=True)
class Decision:
    """Why a task was answered as it was.

    `models_called` are in the order of the calls, each paid; `failed_calls` say which did not answer and why.
    `confidence` is the calibrated probability that the served answer is right. `cache` is "exact" or "semantic" for an
    answer from the cache, which calls no model. `samples` are answers drawn for the router, each paid. `routing_s` is
    the time that analysis and selection took.
    """

    analysis: Analysis | None = None
    candidates: tuple[Candidate, ...] = ()
    rule: str = ""
    models_called: tuple[str, ...] = ()
    failed_calls: tuple[str, ...] = ()
    model: str | None = None
    confidence: float | None = None
    warnings: tuple[str, ...] = ()
    cache: str | None = None
    similarity: float | None = None
    samples: tuple[str, ...] = ()
    routing_s: float = 0.0

    def __str__(self) -> str:
        lines = [] if self.analysis is None else [f"task      {self.analysis}"]
        if self.cache is not None:
            return "\n".join([*lines, f"cache     {self.cache} hit, similarity {self.similarity:.3f}, of {self.model}"])
        lines += [
            f"expected  {one.model}: quality {one.quality:.2f}, {one.cost_usd:.2e} USD, {one.latency_s:.2f} s"
            + ("" if one.fits else " (not allowed)")
            for one in self.candidates
        ]
        lines += [f"rule      {self.rule}"] if self.rule else []
        sure = "" if self.confidence is None else f" (probably right: {self.confidence:.2f})"
        lines.append(f"called    {', '.join(self.models_called) or 'none'}; served {self.model or 'nothing'}{sure}")
        lines += [f"drawn     {len(self.samples)} further answers, each paid"] if self.samples else []
        lines += [f"failed    {failure}" for failure in self.failed_calls]
        lines += [f"warning   {warning}" for warning in self.warnings]
        return "\n".join([*lines, f"routing   {self.routing_s * 1e3:.1f} ms"])


@dataclass(frozen=True)
class Result:
    """The answer to one task, or the error that stands in its place; exactly one of `output` and `error` is None.

    `cost_usd` counts every call, failed escalations included, and the router's own time; `latency_s` is what the user
    waited. In a batch it is the router's share and the seconds of the batches that the task was in.
    Tokens and `finish_reason` are those of the served answer.
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
