"""A model behind an OpenAI-compatible server: vLLM, SGLang, Ollama, llama.cpp or a hosted provider."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from slm_orchestration.models.endpoint_reply import BadReply, Refusal, completion, error_message, server_text
from slm_orchestration.models.model import CallError, Completion, ContextExceeded, TaskError
from slm_orchestration.tasks.task import Task

_CHARACTERS_PER_TOKEN = 4  # a rough average for English
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_MAX_WAIT_S = 60.0
_PROMPT_FORM = "the server's chat template; temperature 0; choices by the first token's probabilities if offered"


@dataclass
class EndpointModel:
    """Calls `model` at `url` (which ends in /v1), at most `concurrency` calls at a time.

    A transient failure (429, 5xx, a timeout beyond `timeout_s`, a truncated or malformed response) is retried, up to
    `attempts` calls in all, after `backoff_s`, doubled each time, with jitter, or after the server's Retry-After. The
    key is read from the environment variable `key_variable` at each call, and is neither stored nor logged. `device`
    names the row of the price table that prices a second of its time.

    `parameters` renames what a server refuses, or leaves it out: {"max_tokens": "max_completion_tokens",
    "temperature": None, "logprobs": None}. ValueError if the URL holds a password or the key a control character.
    """

    name: str
    url: str
    model: str
    key_variable: str | None = None
    device: str = "endpoint"
    concurrency: int = 8
    requests_per_minute: float | None = None
    timeout_s: float = 120.0
    attempts: int = 5
    backoff_s: float = 1.0
    top_logprobs: int = 20
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    concurrent = True  # live calls need not wait for each other

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError(
                f"{self.name}: the url may hold no user, password, query or fragment, since it is recorded with every "
                "outcome; put the key into an environment variable and name it in key_variable"
            )
        self.url = self.url.rstrip("/")
        offered = sorted(self._standard(max_tokens=1, messages=[], seed=0))
        if unknown := sorted(set(self.parameters) - set(offered)):
            raise ValueError(f"{self.name}: parameters.{unknown[0]}: no such parameter; there are {', '.join(offered)}")
        self._key()

    def identity(self) -> dict[str, str]:
        form = _PROMPT_FORM
        if self.parameters:
            form += f"; parameters {json.dumps(dict(self.parameters), sort_keys=True)}"
        return {"endpoint": self.url, "remote_model": self.model, "prompt_form": form, "dtype": "remote"}

    def provenance(self) -> dict[str, str]:
        return {"decoding": "greedy, by the server"}

    def hardware(self) -> dict[str, str | int]:
        remote = dict.fromkeys(("processor", "dtype", "torch", "transformers"), "remote")
        return {"device": self.device, "threads": 1, **remote}

    def prompt_lengths(self, tasks: Sequence[Task]) -> list[int]:
        """Return an estimate, at four characters per token; the server reports the real count with each answer."""
        return [
            1 + sum(len(message["content"]) for message in task.messages) // _CHARACTERS_PER_TOKEN for task in tasks
        ]

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Answer `tasks` concurrently. Raises CallError if one of them still fails after all attempts."""
        done: dict[int, Completion] = {}
        for finished in self.stream(tasks, batch_tokens=None, seed=seed):
            for index, answered in finished:
                if isinstance(answered, CallError):
                    raise answered
                done[index] = answered
        return [done[index] for index in range(len(tasks))]

    def stream(
        self, tasks: Sequence[Task], *, batch_tokens: int | None, seed: int
    ) -> Iterator[list[tuple[int, Completion | CallError]]]:
        """Yield indices into `tasks` with their completion, or the error of that task, as the server answers.

        `concurrency` bounds the calls in flight; the server batches them, so `batch_tokens` is not used.
        """
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            client = httpx2.AsyncClient(timeout=self.timeout_s)
            limit = _RateLimit(self.concurrency, self.requests_per_minute, random.Random(seed))
            calls = (self._indexed_call(client, limit, index, task, seed) for index, task in enumerate(tasks))
            pending = {loop.create_task(call) for call in calls}
            try:
                while pending:
                    done, pending = runner.run(_first_done(pending))
                    yield [call.result() for call in done]
            finally:
                for call in pending:
                    call.cancel()
                runner.run(client.aclose())

    async def _indexed_call(
        self, client: httpx2.AsyncClient, limit: _RateLimit, index: int, task: Task, seed: int
    ) -> tuple[int, Completion | CallError]:
        try:
            return index, await self._answer(client, limit, task, seed)
        except CallError as error:
            return index, error

    async def _answer(self, client: httpx2.AsyncClient, limit: _RateLimit, task: Task, seed: int) -> Completion:
        body, reason, wait = self._body(task, seed), "", 0.0
        for attempt in range(self.attempts):
            await asyncio.sleep(wait)
            wait = limit.jitter.uniform(0.5, 1) * min(self.backoff_s * 2**attempt, _MAX_WAIT_S)
            async with limit.slots:
                await limit.wait()
                started = time.perf_counter()
                try:
                    answer = await client.post(f"{self.url}/chat/completions", json=body, headers=self._headers())
                    if answer.status_code == 200:
                        return completion(task, answer.content, time.perf_counter() - started)
                except (httpx2.HTTPError, httpx2.InvalidURL, BadReply) as error:
                    reason = self._shown(f"{type(error).__name__}: {error}", task)
                    continue
                except Refusal as error:
                    raise TaskError(f"{task.task_id}: {self.url}: {self._shown(str(error), task)}") from None
            message = error_message(answer.content)
            reason = self._shown(f"status {answer.status_code}: {message}", task)
            if answer.status_code not in _TRANSIENT:
                kind = ContextExceeded if _is_context_error(answer.status_code, message) else CallError
                raise kind(f"{task.task_id}: {self.url} refuses {self.model} ({reason})")
            if (asked := answer.headers.get("retry-after", "")).replace(".", "", 1).isdigit():
                wait = min(float(asked), _MAX_WAIT_S)
        raise CallError(f"{task.task_id}: {self.url} gave no answer in {self.attempts} attempts (last: {reason})")

    def _standard(self, *, max_tokens: int, messages: Sequence[Mapping[str, str]], seed: int) -> dict[str, Any]:
        """Return the body of a request under OpenAI's names."""
        body = {"model": self.model, "messages": list(messages), "temperature": 0, "seed": seed}
        return body | {"max_tokens": max_tokens, "logprobs": True, "top_logprobs": self.top_logprobs}

    def _body(self, task: Task, seed: int) -> dict[str, Any]:
        standard = self._standard(max_tokens=task.max_tokens, messages=task.messages, seed=seed)
        without = {"top_logprobs": None} if self.parameters.get("logprobs", "logprobs") is None else {}
        names: dict[str, str | None] = {**without, **self.parameters}
        renamed = {names.get(name, name): value for name, value in standard.items()}
        return {name: value for name, value in renamed.items() if name is not None}

    def _headers(self) -> dict[str, str]:
        if self.key_variable is None:
            return {}
        try:
            key = self._key()
        except ValueError as error:
            raise CallError(str(error)) from None
        if not key:
            raise CallError(f"{self.name}: the environment variable {self.key_variable} holds no key; set it")
        return {"authorization": f"Bearer {key}"}

    def _key(self) -> str:
        """Return the key, or "" if there is none. Raises ValueError if it cannot be sent in a header."""
        key = os.environ.get(self.key_variable or "", "")
        if not (key.isascii() and key.isprintable()):
            raise ValueError(
                f"{self.name}: the key in {self.key_variable} holds a character that no key has, such as a line end of "
                "a file from Windows; set it again without"
            )
        return key

    def _shown(self, text: str, task: Task) -> str:
        """Return what may be recorded and logged of a server's text: one line, without the key and the prompt."""
        key = os.environ.get(self.key_variable or "", "").strip()
        contents = [message["content"] for message in task.messages]
        return server_text(text.replace(key, "…") if key else text, contents)


class _RateLimit:
    """At most `concurrency` calls at a time and `requests_per_minute` calls per minute; None: no rate limit."""

    def __init__(self, concurrency: int, requests_per_minute: float | None, jitter: random.Random) -> None:
        self.slots, self.jitter = asyncio.Semaphore(concurrency), jitter
        self._interval_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next_s = 0.0

    async def wait(self) -> None:
        """Wait until the next call may be made."""
        now = time.monotonic()
        self._next_s = max(now, self._next_s) + self._interval_s
        await asyncio.sleep(self._next_s - self._interval_s - now)


async def _first_done(calls: set[asyncio.Task]) -> tuple[set[asyncio.Task], set[asyncio.Task]]:
    return await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)


def _is_context_error(status: int, message: str) -> bool:
    return status == 400 and ("context_length_exceeded" in message or "context length" in message)
