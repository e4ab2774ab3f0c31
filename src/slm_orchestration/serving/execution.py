"""Answering tasks: rounds of selection and calls until each task is served or has no model left."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.models.model import Completion, Model, TaskError
from slm_orchestration.outcomes.collect import plan
from slm_orchestration.routing.rules import Terms
from slm_orchestration.routing.strategy import readable_answers
from slm_orchestration.serving.fit import Fitted
from slm_orchestration.serving.result import Candidate, Decision, Result
from slm_orchestration.serving.sampling import BATCH_TOKENS, Consulted
from slm_orchestration.serving.selection import NONE, Limits, Progress, Selection, select
from slm_orchestration.serving.settings import ModelSettings, Settings
from slm_orchestration.serving.streaming import Heard, Listener
from slm_orchestration.tasks.task import Task

# What a call may raise: CallError is a RuntimeError; weights that are not to be had are an OSError.
FAILURES = (RuntimeError, OSError, ValueError)


class Call(Protocol):
    """How models are called: the one place where time limits, retries and circuit breakers can stand."""

    def __call__(self, model: Model, tasks: Sequence[Task], *, seed: int) -> list[Completion]: ...


@dataclass(frozen=True)
class Equipment:
    """What every task is answered with; a `listener` hears the answer to a single task while it is written."""

    fitted: Fitted
    models: Sequence[Model]
    settings: Settings
    call: Call
    listener: Listener | None = None


def answer(tasks: Sequence[Task], equipment: Equipment) -> list[Result]:
    """Return one result per task, in order; a task whose models failed, or that none fits, has an error."""
    return _Execution(tasks, equipment).run() if tasks else []


@dataclass
class _Execution:
    tasks: Sequence[Task]
    equipment: Equipment
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    vain: set[tuple[int, int]] = field(default_factory=set)  # calls that no further attempt can help
    calls: dict[int, list[int]] = field(default_factory=dict)  # the models called for each task, in order

    def run(self) -> list[Result]:
        fitted, started = self.equipment.fitted, time.perf_counter()
        questions = [task.question for task in self.tasks]
        self.analyses = fitted.analyst.analyse(questions)
        self.progress = Progress(fitted.models, questions, *fitted.expectation.before_call(self.tasks))
        self.first = self._select()
        self.calling_s = 0.0
        last = self._round(self.first)
        for number in range(1, self.equipment.settings.rounds):
            if not self._start_anew(np.flatnonzero(last.serve == NONE), number):
                break
            last = self._round(self._select())
        self.routing_s = (time.perf_counter() - started - self.calling_s) / len(self.tasks)
        return [self._result(row, last) for row in range(len(self.tasks))]

    def _round(self, selection: Selection) -> Selection:
        """Call what is selected, and what is selected then, until nothing is; return the last selection."""
        while (selection.call != NONE).any():
            before = time.perf_counter()
            for model in np.unique(selection.call[selection.call != NONE]).tolist():
                self._call(model, np.flatnonzero(selection.call == model).tolist())
            self.calling_s += time.perf_counter() - before
            selection = self._select()
        return selection

    def _start_anew(self, rows: NDArray[np.intp], number: int) -> bool:
        """Pause, and forget for tasks without an answer that models failed; False where another try is in vain."""
        failed = self.progress.failed
        again = [(row, model) for row in rows for model in np.flatnonzero(failed[row]) if (row, model) not in self.vain]
        if not again or not self.equipment.settings.fallback:
            return False
        # Random, so that requests that failed together do not come back together.
        pause_s = random.uniform(0.5, 1.0) * self.equipment.settings.pause_s * 2 ** (number - 1)
        time.sleep(pause_s)
        self.calling_s += pause_s
        for row, model in again:
            failed[row, model] = False
            self.progress.spent_s[row, model] += pause_s / sum(one == row for one, _ in again)
        return True

    def _select(self) -> Selection:
        settings, fitted = self.equipment.settings, self.equipment.fitted
        limits = Limits(
            latency_s=np.inf if settings.max_latency_ms is None else settings.max_latency_ms / 1e3,
            cost_usd=np.inf if settings.max_cost_usd is None else settings.max_cost_usd,
            relax=settings.no_model_fits == "relax",
        )
        found = select(fitted.strategy, fitted.threshold, self.progress, limits)
        if settings.fallback:
            return found
        return replace(found, call=np.where(self.progress.failed.any(axis=1), NONE, found.call))

    def _call(self, model: int, rows: list[int]) -> None:
        """Call one model for some tasks, in batches; what fails is noted and harms no other task."""
        for row in rows:
            self.calls.setdefault(row, []).append(model)
        if len(rows) == 1:
            return self._call_batch(model, rows)
        called, bounds = self.equipment.models[model], self._bounds(model)
        tasks = [_bounded(self.tasks[row], bounds) for row in rows]
        try:
            lengths = called.prompt_lengths(tasks)
        except FAILURES as error:
            return self._note_failure(model, rows, error, 0.0)
        written = [1 if task.choices is not None else task.max_tokens for task in tasks]
        for batch in plan(lengths, written, BATCH_TOKENS):
            self._call_batch(model, [rows[place] for place in batch])

    def _call_batch(self, model: int, rows: list[int]) -> None:
        tasks = [_bounded(self.tasks[row], self._bounds(model)) for row in rows]
        started = time.perf_counter()
        try:
            completions = self.equipment.call(self._heard(model), tasks, seed=self.equipment.settings.seed)
        except FAILURES as error:
            if len(rows) == 1:
                return self._note_failure(model, rows, error, time.perf_counter() - started)
            # A batch that fails is halved until the task at fault stands alone.
            half = len(rows) // 2
            self._call_batch(model, rows[:half])
            return self._call_batch(model, rows[half:])
        seconds = time.perf_counter() - started
        for row, task, completion in zip(rows, tasks, completions, strict=True):
            self._note_answer(row, model, task, completion, seconds if len(rows) == 1 else _latency_s(completion))

    def _heard(self, model: int) -> Model:
        called, listener = self.equipment.models[model], self.equipment.listener
        if listener is None:
            return called
        strategy = self.equipment.fitted.strategy
        # Where the rule is not asked again after this answer, it is the one that is served.
        terms = Terms(strategy.relative_cost, readable_answers(strategy.router, self.equipment.fitted.models))
        return Heard(called, listener, final=not strategy.rule.goes_on(model, terms))  # type: ignore[return-value]

    def _note_answer(self, row: int, model: int, task: Task, completion: Completion, seconds: float) -> None:
        fitted, progress = self.equipment.fitted, self.progress
        progress.completions[row, model] = completion
        progress.spent_s[row, model] += seconds
        progress.spent_usd[row, model] = sum(
            fitted.expectation.cost_usd(model, one.prompt_tokens, one.completion_tokens)
            for one in (completion, *_samples(completion))
        )
        progress.confidence[row, model] = fitted.calibration.confidence(
            fitted.models[model], completion.signals, choice=task.choices is not None
        )

    def _note_failure(self, model: int, rows: list[int], error: Exception, seconds: float) -> None:
        for row in rows:
            self.errors[row, model] = f"{self.equipment.fitted.models[model]}: {error or type(error).__name__}"
            self.progress.failed[row, model] = True
            self.progress.spent_s[row, model] += seconds
            if isinstance(error, TaskError):
                self.vain.add((row, model))

    def _bounds(self, model: int) -> ModelSettings:
        return self.equipment.settings.models.get(self.equipment.fitted.models[model], ModelSettings())

    def _result(self, row: int, last: Selection) -> Result:
        fitted, progress = self.equipment.fitted, self.progress
        served = int(last.serve[row])
        completion = progress.completions.get((row, served))
        decision = self._decision(row, served, last)
        cost_usd = float(progress.spent_usd[row].sum()) + self.routing_s * fitted.router_usd_per_s
        latency_s = float(progress.spent_s[row].sum()) + self.routing_s
        if completion is None:
            return Result(None, None, cost_usd, latency_s, decision, self._error(decision))
        served_by, tokens = fitted.models[served], (completion.prompt_tokens, completion.completion_tokens)
        return Result(
            completion.answer, served_by, cost_usd, latency_s, decision, None, *tokens, completion.finish_reason
        )

    def _error(self, decision: Decision) -> str:
        if decision.failed_calls:
            return f"every model that was called failed: {'; '.join(decision.failed_calls)}"
        return f"refused: {decision.warnings[0]}"

    def _decision(self, row: int, served: int, last: Selection) -> Decision:
        fitted, progress = self.equipment.fitted, self.progress
        expected = zip(self.first.quality[row], progress.expected_usd[row], progress.expected_s[row], strict=True)
        candidates = tuple(
            Candidate(name, float(quality), float(usd), float(seconds), bool(fits))
            for name, (quality, usd, seconds), fits in zip(fitted.models, expected, self.first.fits[row], strict=True)
        )
        return Decision(
            analysis=self.analyses[row],
            candidates=candidates,
            rule=fitted.rule,
            models_called=tuple(fitted.models[model] for model in self.calls.get(row, [])),
            failed_calls=tuple(text for (at, _), text in self.errors.items() if at == row),
            model=fitted.models[served] if served != NONE else None,
            confidence=float(progress.confidence[row, served]) if served != NONE else None,
            warnings=self._warnings(row, last, candidates),
            samples=tuple(
                one.answer
                for (at, _), completion in progress.completions.items()
                if at == row
                for one in _samples(completion)
            ),
            routing_s=self.routing_s,
        )

    def _warnings(self, row: int, last: Selection, candidates: tuple[Candidate, ...]) -> tuple[str, ...]:
        if not last.relaxed[row]:
            return ()
        settings = self.equipment.settings
        limits = {"max_latency_ms": settings.max_latency_ms, "max_cost_usd": settings.max_cost_usd}
        asked = ", ".join(f"{key}={value:g}" for key, value in limits.items() if value is not None)
        fastest = min(candidates, key=lambda one: one.latency_s)
        text = (
            f"no model fits {asked}; the fastest, {fastest.model}, is expected to take {fastest.latency_s * 1e3:.0f} ms"
        )
        done = "; the limits were relaxed to the nearest that a model fits"
        return (text + done if settings.no_model_fits == "relax" else text,)


def _samples(completion: Completion) -> tuple[Completion, ...]:
    return completion.samples if isinstance(completion, Consulted) else ()


def _latency_s(completion: Completion) -> float:
    return completion.latency_s + max((one.latency_s for one in _samples(completion)), default=0.0)


def _bounded(task: Task, bounds: ModelSettings) -> Task:
    if bounds.max_tokens is None or bounds.max_tokens >= task.max_tokens:
        return task
    return replace(task, max_tokens=bounds.max_tokens)
