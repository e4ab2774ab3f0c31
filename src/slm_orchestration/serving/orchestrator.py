"""AdaptiveOrchestrator: answers tasks with real models, chosen by a fitted routing strategy."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from slm_orchestration.models.model import Completion, Model
from slm_orchestration.serving.advised import advised_routing, read_advised
from slm_orchestration.serving.cache.cache import AnswerCache, answer_cached, cached_result, open_cache, pool_identity
from slm_orchestration.serving.execution import Call, Runtime, answer
from slm_orchestration.serving.fit import FittedRouting, fit_once, records
from slm_orchestration.serving.pool import Pool, packaged_pool
from slm_orchestration.serving.result import Decision, Result
from slm_orchestration.serving.sampling import apply_temperatures, with_sampling
from slm_orchestration.serving.settings import Config, read_settings
from slm_orchestration.serving.streaming import TokenRelay, answer_async, stream, stream_async
from slm_orchestration.tasks.task import Task

Request = str | Task | Sequence[Mapping[str, str]]
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class RequestOptions:
    """What a request asks for besides its messages: `model` by name (None: the router chooses).

    `tenant` is who asks: unless `cache_shared`, the cache serves an answer only to the tenant that got it.
    """

    model: str | None = None
    tenant: str = ""


ROUTED = RequestOptions()


class AdaptiveOrchestrator:
    """Answers each task with the cheapest model that is expected to be good enough, and explains the decision.

    `config` is a mapping or a YAML file with the keys of OrchestratorSettings. `pool` defaults to the packaged models.
    The router is fitted on `outcomes`, a folder of recorded outcomes of the pool, for the tasks in the table `tasks`;
    both default to the committed ones. `advice` is a file that holds a router instead (see from_advice). `call` is how
    models are called. The constructor checks the configuration; the
    first task fits the router or reads it from the cache folder, and the first call of a model loads its weights,
    downloading them if needed. Thread-safe.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        pool: Pool | None = None,
        outcomes: Path | None = None,
        tasks: Path | None = None,
        call: Call | None = None,
        advice: Path | None = None,
    ) -> None:
        self.settings = read_settings(config)
        self.pool = apply_temperatures(packaged_pool() if pool is None else pool, self.settings)
        self._outcomes, self._tasks = outcomes, tasks
        self._advised = None if advice is None else read_advised(Path(advice))
        self._call = OneAtATime() if call is None else call
        self._fitted: FittedRouting | None = None
        self._models: Sequence[Model] = ()
        self._cache: AnswerCache | None = None
        self._identity = ""
        self._fitting = threading.Lock()
        self._places = threading.BoundedSemaphore(self.settings.max_concurrent_tasks)
        self._threads: ThreadPoolExecutor | None = None
        self._closed = False

    @classmethod
    def from_advice(cls, advice: Path | str, pool: Pool, config: Config | None = None) -> Self:
        """Return an orchestrator with the router and threshold that `experiments.advise save=` wrote.

        The models of `pool` are called as in the table that was advised on. The router is fitted on that table at the
        first task; settings of `config` that choose a router or a threshold are not used.
        """
        return cls(config, pool=pool, advice=Path(advice))

    def prepare(self) -> FittedRouting:
        """Fit the router, once in this process. Raises ValueError if outcomes or tasks are missing."""
        with self._fitting:
            if self._fitted is None:
                ready = self._fit()
                self._models = with_sampling(self.pool.models, ready.sample_settings, self.settings.routing_strategy)
                if self.settings.cache_enabled:
                    self._identity = pool_identity(self.pool.models, ready, self.settings)
                    self._cache = open_cache(ready, self.settings)
                self._fitted = ready
            return self._fitted

    def _fit(self) -> FittedRouting:
        if self._advised is not None:
            return advised_routing(self._advised, self.pool.names, self.pool.small)
        return fit_once(self.pool, records(self._outcomes, self._tasks), self.settings)

    def process_task(self, task: Request, options: RequestOptions = ROUTED) -> Result:
        """Answer a text, a conversation of chat messages or a Task; failures of models are in the result's `error`.

        Raises ValueError if the task is none of these or is empty, and once the orchestrator is closed.
        """
        return self._process(task, options)

    def process_batch(self, tasks: Sequence[Request]) -> list[Result]:
        """Return one result per task, in order; a task that fails or is invalid affects no other."""
        results: list[Result | None] = [None] * len(tasks)
        ready: list[tuple[int, Task]] = []
        for place, task in enumerate(tasks):
            try:
                ready.append((place, as_task(task, max_tokens=self.settings.max_tokens)))
            except ValueError as error:
                results[place] = Result(None, None, 0.0, 0.0, Decision(), str(error))
        most = self.settings.max_concurrent_tasks
        for start in range(0, len(ready), most):
            part = ready[start : start + most]
            for (place, _), result in zip(part, self._answer([task for _, task in part], ROUTED), strict=True):
                results[place] = result
        return [result for result in results if result is not None]

    def cached_task(self, task: Request, options: RequestOptions = ROUTED) -> Result | None:
        """Return the answer to this task if the cache holds it, without blocking."""
        if self._fitted is None or self._cache is None or self._closed:
            return None
        ready = as_task(task, max_tokens=self.settings.max_tokens)
        return cached_result(ready, self._fitted, self._cache, self._identity_for(options))

    @property
    def cache_failures(self) -> int:
        """How often the file of the cache could not be used; every such request was answered without it."""
        return 0 if self._cache is None else self._cache.entries.failures

    async def aprocess_task(self, task: Request, options: RequestOptions = ROUTED) -> Result:
        """Answer a task without blocking the event loop; at most `max_concurrent_tasks` are answered at once.

        Cancelling it ends the decoding of a local model at its next token, and no further model is called.
        """
        return await answer_async(partial(self._process, task, options), self._executor())

    async def aprocess_batch(self, tasks: Sequence[Request]) -> list[Result]:
        """Answer a batch without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor(), self.process_batch, tasks)

    def stream_task(self, task: Request) -> Stream:
        """Return an iterable over the text of the answer; its `result` is set after the last piece.

        Text is streamed while the model decodes if its answer is served whatever it is, else once it is served.
        """
        return Stream(self, task)

    async def astream_task(self, task: Request, options: RequestOptions = ROUTED) -> AsyncGenerator[str | Result, None]:
        """Yield the text of the answer, then the result, without blocking the event loop; closing ends the decoding.

        Raises CallError if the answer breaks off.
        """
        async with aclosing(stream_async(partial(self._process, task, options), self._executor())) as found:
            async for piece in found:
                yield piece

    def close(self, *, wait: bool = True) -> None:
        """Wait for running tasks and release the models' memory; later tasks raise ValueError.

        Without `wait` running calls are left to end by themselves, with their models, and waiting tasks are dropped.
        """
        self._closed = True
        if self._threads is not None:
            self._threads.shutdown(wait=wait, cancel_futures=not wait)
        if self._cache is not None:
            self._cache.close()
        if not wait:
            return
        for model in self.pool.models:
            release = getattr(model, "release", None)
            if release is not None:
                release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _process(self, task: Request, options: RequestOptions, relay: TokenRelay | None = None) -> Result:
        ready = as_task(task, max_tokens=self.settings.max_tokens)
        with self._places:
            return self._answer([ready], options, relay)[0]

    def _answer(self, tasks: list[Task], options: RequestOptions, relay: TokenRelay | None = None) -> list[Result]:
        if self._closed:
            raise ValueError("the orchestrator is closed")
        fitted, model = self.prepare(), options.model
        if model is not None and model not in fitted.models:
            raise ValueError(f"model={model}: no such model in the pool; there are {', '.join(fitted.models)}")
        only = None if model is None else fitted.models.index(model)
        runtime = Runtime(fitted, self._models, self.settings, self._call, relay, only)
        if self._cache is None:
            return answer(tasks, runtime)
        return answer_cached(tasks, runtime, self._cache, self._identity_for(options))

    def _identity_for(self, options: RequestOptions) -> str:
        tenant = "" if self.settings.cache_shared else options.tenant
        return json.dumps([self._identity, options.model, tenant])

    def _executor(self) -> ThreadPoolExecutor:
        with self._fitting:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self.settings.max_concurrent_tasks, thread_name_prefix="task")
            return self._threads


@dataclass
class Stream:
    """An iterable over the text of an answer; sets `result` after the last piece. Raises CallError if it breaks off."""

    orchestrator: AdaptiveOrchestrator
    task: Request
    result: Result | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[str]:
        answer = partial(self.orchestrator._process, self.task, ROUTED)
        threads = self.orchestrator._executor()
        with closing(stream(answer, threads)) as found:
            for piece in found:
                if isinstance(piece, Result):
                    self.result = piece
                else:
                    yield piece


@dataclass
class OneAtATime:
    """Calls each model directly, one call at a time unless the model has `concurrent = True`."""

    _locks: dict[str, threading.Lock] = field(default_factory=dict, init=False, repr=False)
    _creating: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __call__(self, model: Model, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        if getattr(model, "concurrent", False):
            return model.complete(tasks, seed=seed)
        with self._creating:
            lock = self._locks.setdefault(model.name, threading.Lock())
        with lock:
            return model.complete(tasks, seed=seed)


def as_task(request: Request, *, max_tokens: int) -> Task:
    """Return a text, a conversation of chat messages or a Task as a Task.

    Its question, which the router reads, is the user's last message. Raises ValueError on an empty request or an
    unknown role.
    """
    if isinstance(request, Task):
        return request
    messages = _messages([{"role": "user", "content": request}] if isinstance(request, str) else request)
    questions = [message["content"] for message in messages if message["role"] == "user"]
    if not questions or not questions[-1].strip():
        raise ValueError("a task is a text that is not empty, or chat messages of which the user's last is not empty")
    digest = hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()[:16]
    return Task(
        task_id=f"request/{digest}",
        domain="",
        dataset="request",
        group=digest,
        split="evaluation",
        question=questions[-1],
        messages=messages,
        choices=None,
        reference="",
        scorer="exact",
        max_tokens=max_tokens,
    )


def _messages(request: object) -> list[dict[str, str]]:
    if not isinstance(request, Sequence) or isinstance(request, bytes):
        raise ValueError(f"a task is a text, chat messages or a Task, not {type(request).__name__}")
    messages = []
    for message in request:
        if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
            raise ValueError("each chat message is a mapping with the keys role and content")
        if message["role"] not in _ROLES:
            raise ValueError(f"role={message['role']}: allowed is {', '.join(_ROLES)}")
        if not isinstance(message["content"], str):
            raise ValueError("the content of a chat message is a text")
        if any("\ud800" <= one <= "\udfff" for one in message["content"]):
            raise ValueError("the content of a chat message holds half a character (a surrogate); send valid Unicode")
        messages.append({"role": message["role"], "content": message["content"]})
    return messages
