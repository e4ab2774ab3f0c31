"""A model behind an OpenAI-compatible server: vLLM, SGLang, Ollama, llama.cpp or a hosted provider."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx2

from slm_orchestration.models.concurrency import Concurrency
from slm_orchestration.models.endpoint_reply import (
    BadReply,
    Refusal,
    completion,
    error_message,
    labels_outside,
    server_text,
)
from slm_orchestration.models.model import ANSWER_PREFIX, CallError, Completion, ContextExceeded, TaskError
from slm_orchestration.tasks.task import Task

_CHARACTERS_PER_TOKEN = 4  # a rough average for English
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_OVERLOADED = frozenset({408, 429, 503, 504})
_MAX_WAIT_S = 60.0
_MOST_BYTES = 64 << 20  # of a reply, unpacked; with log-probabilities an answer has some kilobytes per token
_PARAMETERS = ("logprobs", "max_tokens", "messages", "model", "seed", "temperature", "top_logprobs")
_PROMPT_FORM = "the server's chat template; temperature 0; choices by the first token's probabilities if offered"


@dataclass
class EndpointModel:
    """Calls `model` at `url` (which ends in /v1), at most `concurrency` calls at a time; "auto" finds how many.

    A transient failure (429, 5xx, a timeout beyond `timeout_s`, a truncated or malformed response) is retried, up to
    `attempts` calls in all, after `backoff_s`, doubled each time, with jitter, or after the server's Retry-After. The
    key is read from the environment variable `key_variable` at each call, and is neither stored nor logged. `device`
    names the row of the price table that prices a second of its time.

    A multiple-choice task is answered by the first token's `top_logprobs` most probable tokens. With `answer_prefix`
    that token follows "Answer:" as with a local model; the server must be able to continue a message. A task with a
    label outside is asked once more, for `label_logprobs` tokens; None: the label keeps probability 0, and its signal
    `outside:<label>` holds the probability of the least likely token that was returned.

    `parameters` renames what a server refuses, or leaves it out: {"max_tokens": "max_completion_tokens",
    "temperature": None, "logprobs": None}. ValueError if the URL holds a password, the key a control character, or
    `concurrency` is no number.
    """

    name: str
    url: str
    model: str
    key_variable: str | None = None
    device: str = "endpoint"
    concurrency: int | str = 8
    requests_per_minute: float | None = None
    timeout_s: float = 120.0
    attempts: int = 5
    backoff_s: float = 1.0
    top_logprobs: int = 20
    answer_prefix: bool = False
    label_logprobs: int | None = None
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
        if self.concurrency != "auto" and not (type(self.concurrency) is int and self.concurrency >= 1):
            raise ValueError(f"{self.name}: concurrency={self.concurrency}: allowed is a number from 1, or auto")
        if self.label_logprobs is not None and self.label_logprobs <= self.top_logprobs:
            raise ValueError(
                f"{self.name}: label_logprobs={self.label_logprobs}: allowed is null, or more than top_logprobs, "
                f"which is {self.top_logprobs}"
            )
        if unknown := sorted(set(self.parameters) - set(_PARAMETERS)):
            there_are = ", ".join(_PARAMETERS)
            raise ValueError(f"{self.name}: parameters.{unknown[0]}: no such parameter; there are {there_are}")
        self._key()

    def identity(self) -> dict[str, str]:
        form = _PROMPT_FORM
        if self.answer_prefix:
            form += f"; choices after {ANSWER_PREFIX!r}"
        if self.label_logprobs is not None:
            form += f"; labels among {self.label_logprobs} tokens"
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
            # The slots bound the connections; without this httpx2 would let calls beyond 100 wait and time out.
            client = httpx2.AsyncClient(timeout=self.timeout_s, limits=httpx2.Limits())
            slots = Concurrency(self.concurrency if isinstance(self.concurrency, int) else None)
            limit = _RateLimit(slots, self.requests_per_minute, random.Random(seed))
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
        """Answer one task; where a label is outside the top tokens, ask once more for `label_logprobs` of them."""
        body = self._body(self._standard(task, seed))
        first = await self._call(client, limit, task, body)
        if self.label_logprobs is None or not labels_outside(first.signals):
            return first
        # Only the first token is read, and each token comes with as many alternatives.
        more = {"max_tokens": 1, "top_logprobs": self.label_logprobs}
        again = await self._call(client, limit, task, self._body(self._standard(task, seed) | more))
        found = again if "label_mass" in again.signals else replace(first, signals=again.signals)
        return replace(
            found,
            prompt_tokens=first.prompt_tokens + again.prompt_tokens,
            completion_tokens=first.completion_tokens + again.completion_tokens,
            latency_s=first.latency_s + again.latency_s,
        )

    async def _call(
        self, client: httpx2.AsyncClient, limit: _RateLimit, task: Task, body: Mapping[str, Any]
    ) -> Completion:
        reason, wait = "", 0.0
        for attempt in range(self.attempts):
            await asyncio.sleep(wait)
            wait = limit.jitter.uniform(0.5, 1) * min(self.backoff_s * 2**attempt, _MAX_WAIT_S)
            async with limit.slots:
                await limit.wait()
                started, made_s = time.perf_counter(), time.monotonic()
                try:
                    async with asyncio.timeout(self.timeout_s):  # httpx2's own is for each read
                        answer, content = await self._post(client, body)
                    if answer.status_code in _OVERLOADED:
                        limit.slots.overloaded(made_s)
                    if answer.status_code == 200:
                        limit.slots.finished()
                        text_before = ANSWER_PREFIX if self.answer_prefix else ""
                        return completion(task, content, time.perf_counter() - started, text_before)
                except (httpx2.HTTPError, httpx2.InvalidURL, BadReply, TimeoutError) as error:
                    if isinstance(error, httpx2.TimeoutException | TimeoutError):
                        limit.slots.overloaded(made_s)
                    reason = self._shown(f"{type(error).__name__}: {error}", task)
                    continue
                except Refusal as error:
                    raise TaskError(f"{task.task_id}: {self.url}: {self._shown(str(error), task)}") from None
            message = error_message(content)
            reason = self._shown(f"status {answer.status_code}: {message}", task)
            if answer.status_code not in _TRANSIENT:
                kind = ContextExceeded if _is_context_error(answer.status_code, message) else CallError
                raise kind(f"{task.task_id}: {self.url} refuses {self.model} ({reason})")
            if (asked := answer.headers.get("retry-after", "")).replace(".", "", 1).isdecimal():
                wait = min(float(asked), _MAX_WAIT_S)
        raise CallError(f"{task.task_id}: {self.url} gave no answer in {self.attempts} attempts (last: {reason})")

    async def _post(self, client: httpx2.AsyncClient, body: Mapping[str, Any]) -> tuple[httpx2.Response, bytes]:
        """Return a reply and its content. Raises BadReply if it is larger than any answer."""
        content = bytearray()
        url, headers = f"{self.url}/chat/completions", self._headers()
        async with client.stream("POST", url, json=body, headers=headers) as answer:
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > _MOST_BYTES:
                    raise BadReply(f"a reply of over {_MOST_BYTES >> 20} MB")
        return answer, bytes(content)

    def _standard(self, task: Task, seed: int) -> dict[str, Any]:
        """Return the body of a request under OpenAI's names, and those of vLLM to continue a message."""
        body = {"model": self.model, "messages": list(task.messages), "temperature": 0, "seed": seed}
        body |= {"max_tokens": task.max_tokens, "logprobs": True, "top_logprobs": self.top_logprobs}
        if task.choices is not None and self.answer_prefix:
            body["messages"] = [*task.messages, {"role": "assistant", "content": ANSWER_PREFIX}]
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body

    def _body(self, standard: Mapping[str, Any]) -> dict[str, Any]:
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
    """The slots for calls at a time, and at most `requests_per_minute` calls per minute; None: no rate limit."""

    def __init__(self, slots: Concurrency, requests_per_minute: float | None, jitter: random.Random) -> None:
        self.slots, self.jitter = slots, jitter
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
