"""Answer tasks: alternate between selecting models and calling them until each task is served or no model is left."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.models.model import Completion, ContextChecking, ContextExceeded, Model, TaskError
from slm_orchestration.outcomes.collect import plan_batches
from slm_orchestration.serving.fit import FittedRouting
from slm_orchestration.serving.result import Decision, ModelForecast, Result
from slm_orchestration.serving.sampling import BATCH_TOKENS, CompletionWithSamples
from slm_orchestration.serving.selection import NO_MODEL, Progress, Selection, TaskLimits, select, select_named
from slm_orchestration.serving.settings import ModelSettings, OrchestratorSettings
from slm_orchestration.serving.streaming import RelayedModel, TokenRelay
from slm_orchestration.tasks.task import Task, request_table

# Errors of a call: CallError is a RuntimeError, weights that cannot be loaded raise OSError.
FAILURES = (RuntimeError, OSError, ValueError)
_SHORT = 1000  # bytes of a prompt whose tokens are not counted before a model is chosen: hardly any context is shorter


class Call(Protocol):
    """How models are called; time limits, retries and circuit breakers are implementations of it."""

    def __call__(self, model: Model, tasks: Sequence[Task], *, seed: int) -> list[Completion]: ...


@dataclass(frozen=True)
class Runtime:
    """What tasks are answered with; a `relay` streams the answer to a single task while it is decoded.

    `only` is the index of the model that the request names; None lets the strategy choose.
    """

    fitted: FittedRouting
    models: Sequence[Model]
    settings: OrchestratorSettings
    call: Call
    relay: TokenRelay | None = None
    only: int | None = None


def answer(tasks: Sequence[Task], runtime: Runtime) -> list[Result]:
    """Return one result per task, in order; a task whose models failed, or that none fits, has an error."""
    return _Execution(tasks, runtime).run() if tasks else []


@dataclass
class _Execution:
    tasks: Sequence[Task]
    runtime: Runtime
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    hopeless: set[tuple[int, int]] = field(default_factory=set)  # calls that would fail again, by TaskError
    too_long: set[tuple[int, int]] = field(default_factory=set)  # those of them where the prompt exceeds the context
    calls: dict[int, list[int]] = field(default_factory=dict)  # the models called for each task, in order

    def run(self) -> list[Result]:
        fitted, started = self.runtime.fitted, time.perf_counter()
        requests = request_table(self.tasks)
        self.analyses = fitted.domain_classifier.analyse(requests[fitted.strategy.view].tolist())
        self.progress = Progress(fitted.models, requests, *fitted.expectation.before_call(self.tasks))
        self._exclude_short_contexts()
        self.first = self._select()
        self.calling_s = 0.0
        last = self._round(self.first)
        for number in range(1, self.runtime.settings.rounds):
            if not self._retry_failed(np.flatnonzero(last.serve == NO_MODEL), number):
                break
            last = self._round(self._select())
        self.routing_s = (time.perf_counter() - started - self.calling_s) / len(self.tasks)
        return [self._result(row, last) for row in range(len(self.tasks))]

    def _exclude_short_contexts(self) -> None:
        """Exclude models whose context a long prompt exceeds, so that no call and no loading of weights is lost on
        it."""
        if not self.runtime.settings.fallback:
            return
        size = [sum(len(one["content"].encode(errors="replace")) for one in task.messages) for task in self.tasks]
        for row, model in itertools.product(range(len(self.tasks)), range(len(self.runtime.models))):
            checking = self.runtime.models[model]
            if size[row] > _SHORT and isinstance(checking, ContextChecking):
                try:
                    error = checking.context_error(self.tasks[row])
                except FAILURES:  # the call will say why
                    continue
                if error is not None:
                    self._record_failure(model, [row], error, 0.0)

    def _round(self, selection: Selection) -> Selection:
        """Alternate between calls and selection until no call is selected; return the last selection."""
        while (selection.call != NO_MODEL).any():
            before = time.perf_counter()
            for model in np.unique(selection.call[selection.call != NO_MODEL]).tolist():
                self._call(model, np.flatnonzero(selection.call == model).tolist())
            self.calling_s += time.perf_counter() - before
            selection = self._select()
        return selection

    def _retry_failed(self, rows: NDArray[np.intp], number: int) -> bool:
        """Pause, then let failed models be called again for the unserved tasks; False if no call could succeed."""
        failed = self.progress.failed
        again = [
            (row, model) for row in rows for model in np.flatnonzero(failed[row]) if (row, model) not in self.hopeless
        ]
        if not again or not self.runtime.settings.fallback:
            return False
        # A random pause keeps requests that failed together from retrying together.
        pause_s = random.uniform(0.5, 1.0) * self.runtime.settings.pause_s * 2 ** (number - 1)
        time.sleep(pause_s)
        self.calling_s += pause_s
        for row, model in again:
            failed[row, model] = False
            self.progress.spent_s[row, model] += pause_s / sum(one == row for one, _ in again)
        return True

    def _select(self) -> Selection:
        settings, fitted = self.runtime.settings, self.runtime.fitted
        if self.runtime.only is not None:
            return select_named(self.runtime.only, self.progress)
        limits = TaskLimits(
            latency_s=np.inf if settings.max_latency_ms is None else settings.max_latency_ms / 1e3,
            cost_usd=np.inf if settings.max_cost_usd is None else settings.max_cost_usd,
            relax=settings.no_model_fits == "relax",
        )
        found = select(fitted.strategy, fitted.threshold, self.progress, limits)
        if settings.fallback:
            return found
        return replace(found, call=np.where(self.progress.failed.any(axis=1), NO_MODEL, found.call))

    def _call(self, model: int, rows: list[int]) -> None:
        """Call one model for some tasks, in batches; a failure is recorded and affects no other task."""
        for row in rows:
            self.calls.setdefault(row, []).append(model)
        if len(rows) == 1:
            return self._call_batch(model, rows)
        called, overrides = self.runtime.models[model], self._overrides(model)
        tasks = [_limited(self.tasks[row], overrides) for row in rows]
        try:
            lengths = called.prompt_lengths(tasks)
        except FAILURES as error:
            return self._record_failure(model, rows, error, 0.0)
        completion_tokens = [1 if task.choices is not None else task.max_tokens for task in tasks]
        for batch in plan_batches(lengths, completion_tokens, BATCH_TOKENS):
            self._call_batch(model, [rows[place] for place in batch])

    def _call_batch(self, model: int, rows: list[int]) -> None:
        tasks = [_limited(self.tasks[row], self._overrides(model)) for row in rows]
        started = time.perf_counter()
        try:
            completions = self.runtime.call(self._with_relay(model), tasks, seed=self.runtime.settings.seed)
        except FAILURES as error:
            if len(rows) == 1:
                return self._record_failure(model, rows, error, time.perf_counter() - started)
            # A failed batch is halved until the task at fault is alone.
            half = len(rows) // 2
            self._call_batch(model, rows[:half])
            return self._call_batch(model, rows[half:])
        seconds = time.perf_counter() - started
        for row, task, completion in zip(rows, tasks, completions, strict=True):
            self._record_answer(row, model, task, completion, seconds if len(rows) == 1 else _latency_s(completion))

    def _with_relay(self, model: int) -> Model:
        called, relay = self.runtime.models[model], self.runtime.relay
        if relay is None:
            return called
        strategy = self.runtime.fitted.strategy
        if self.runtime.only is not None:
            return RelayedModel(called, relay, final=True)  # type: ignore[return-value]
        # If the rule cannot escalate after this answer, it is served and can be streamed at once.
        pool = strategy.pool_info(self.runtime.fitted.models)
        return RelayedModel(called, relay, final=not strategy.rule.escalates_after(model, pool))  # type: ignore[return-value]

    def _record_answer(self, row: int, model: int, task: Task, completion: Completion, seconds: float) -> None:
        fitted, progress = self.runtime.fitted, self.progress
        completion = fitted.corrected(model, task, str(progress.requests["request"].iloc[row]), completion)
        progress.completions[row, model] = completion
        progress.spent_s[row, model] += seconds
        progress.spent_usd[row, model] = sum(
            fitted.expectation.cost_usd(model, one.prompt_tokens, one.completion_tokens)
            for one in (completion, *_samples(completion))
        )
        progress.confidence[row, model] = fitted.calibration.confidence(
            fitted.models[model], completion.signals, choice=task.choices is not None
        )

    def _record_failure(self, model: int, rows: list[int], error: Exception, seconds: float) -> None:
        for row in rows:
            self.errors[row, model] = f"{self.runtime.fitted.models[model]}: {error or type(error).__name__}"
            self.progress.failed[row, model] = True
            self.progress.spent_s[row, model] += seconds
            if isinstance(error, TaskError):
                self.hopeless.add((row, model))
            if isinstance(error, ContextExceeded):
                self.too_long.add((row, model))

    def _overrides(self, model: int) -> ModelSettings:
        return self.runtime.settings.models.get(self.runtime.fitted.models[model], ModelSettings())

    def _result(self, row: int, last: Selection) -> Result:
        fitted, progress = self.runtime.fitted, self.progress
        served = int(last.serve[row])
        completion = progress.completions.get((row, served))
        decision = self._decision(row, served, last)
        cost_usd = float(progress.spent_usd[row].sum()) + self.routing_s * fitted.router_usd_per_s
        latency_s = float(progress.spent_s[row].sum()) + self.routing_s
        if completion is None:
            failed = {place for place in self.errors if place[0] == row}
            exceeded = bool(failed) and failed <= self.too_long
            error = self._error(decision, exceeded=exceeded)
            return Result(None, None, cost_usd, latency_s, decision, error, context_exceeded=exceeded)
        served_by, tokens = fitted.models[served], (completion.prompt_tokens, completion.completion_tokens)
        return Result(
            completion.answer, served_by, cost_usd, latency_s, decision, None, *tokens, completion.finish_reason
        )

    def _error(self, decision: Decision, *, exceeded: bool) -> str:
        if exceeded:
            return f"the prompt is too long: {'; '.join(decision.failed_calls)}"
        if decision.failed_calls:
            return f"every model that was called failed: {'; '.join(decision.failed_calls)}"
        return f"refused: {decision.warnings[0]}"

    def _decision(self, row: int, served: int, last: Selection) -> Decision:
        fitted, progress = self.runtime.fitted, self.progress
        expected = zip(self.first.quality[row], progress.expected_usd[row], progress.expected_s[row], strict=True)
        candidates = tuple(
            ModelForecast(name, float(quality), float(usd), float(seconds), bool(fits))
            for name, (quality, usd, seconds), fits in zip(fitted.models, expected, self.first.fits[row], strict=True)
        )
        return Decision(
            analysis=self.analyses[row],
            candidates=candidates,
            rule=fitted.rule if self.runtime.only is None else "the request names the model",
            models_called=tuple(fitted.models[model] for model in self.calls.get(row, [])),
            failed_calls=tuple(text for (at, _), text in self.errors.items() if at == row),
            model=fitted.models[served] if served != NO_MODEL else None,
            confidence=float(progress.confidence[row, served]) if served != NO_MODEL else None,
            warnings=self._warnings(row, last, candidates),
            samples=tuple(
                one.answer
                for (at, _), completion in progress.completions.items()
                if at == row
                for one in _samples(completion)
            ),
            routing_s=self.routing_s,
        )

    def _warnings(self, row: int, last: Selection, candidates: tuple[ModelForecast, ...]) -> tuple[str, ...]:
        if not last.relaxed[row]:
            return ()
        settings = self.runtime.settings
        limits = {"max_latency_ms": settings.max_latency_ms, "max_cost_usd": settings.max_cost_usd}
        limit_text = ", ".join(f"{key}={value:g}" for key, value in limits.items() if value is not None)
        fastest = min(candidates, key=lambda one: one.latency_s)
        forecast = f"{fastest.model}, is expected to take {fastest.latency_s * 1e3:.0f} ms"
        text = f"no model fits {limit_text}; the fastest, {forecast}"
        relaxed = "; the limits were relaxed to the nearest that a model fits"
        return (text + relaxed if settings.no_model_fits == "relax" else text,)


def _samples(completion: Completion) -> tuple[Completion, ...]:
    return completion.samples if isinstance(completion, CompletionWithSamples) else ()


def _latency_s(completion: Completion) -> float:
    return completion.latency_s + max((one.latency_s for one in _samples(completion)), default=0.0)


def _limited(task: Task, overrides: ModelSettings) -> Task:
    if overrides.max_tokens is None or overrides.max_tokens >= task.max_tokens:
        return task
    return replace(task, max_tokens=overrides.max_tokens)
