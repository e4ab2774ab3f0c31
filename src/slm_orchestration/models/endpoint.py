"""A model behind an OpenAI-compatible server: vLLM, SGLang, Ollama, llama.cpp or a hosted provider."""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from slm_orchestration.models.model import CallError, Completion, token_signals
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

    def identity(self) -> dict[str, str]:
        return {"endpoint": self.url, "remote_model": self.model, "prompt_form": _PROMPT_FORM, "dtype": "remote"}

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
        for finished in self.stream(tasks, batch_tokens=0, seed=seed):
            for index, completion in finished:
                if isinstance(completion, CallError):
                    raise completion
                done[index] = completion
        return [done[index] for index in range(len(tasks))]

    def stream(
        self, tasks: Sequence[Task], *, batch_tokens: int, seed: int
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
        body = {"model": self.model, "messages": task.messages, "temperature": 0, "seed": seed}
        body |= {"max_tokens": task.max_tokens, "logprobs": True, "top_logprobs": self.top_logprobs}
        reason, wait = "", 0.0
        for attempt in range(self.attempts):
            await asyncio.sleep(wait)
            wait = limit.jitter.uniform(0.5, 1) * min(self.backoff_s * 2**attempt, _MAX_WAIT_S)
            async with limit.slots:
                await limit.wait()
                started = time.perf_counter()
                try:
                    answer = await client.post(f"{self.url}/chat/completions", json=body, headers=self._headers())
                    if answer.status_code == 200:
                        return _completion(task, answer.json(), time.perf_counter() - started)
                except (httpx2.TransportError, ValueError, KeyError, IndexError, TypeError) as error:
                    reason = f"{type(error).__name__}: {error}"
                    continue
            reason = self._without_key(f"status {answer.status_code}: {answer.text[:200]}")
            if answer.status_code not in _TRANSIENT:
                raise CallError(f"{task.task_id}: {self.url} refuses {self.model} ({reason})")
            if (asked := answer.headers.get("retry-after", "")).replace(".", "", 1).isdigit():
                wait = min(float(asked), _MAX_WAIT_S)
        raise CallError(f"{task.task_id}: {self.url} gave no answer in {self.attempts} attempts (last: {reason})")

    def _headers(self) -> dict[str, str]:
        if self.key_variable is None:
            return {}
        if not (key := os.environ.get(self.key_variable)):
            raise CallError(f"{self.name}: the environment variable {self.key_variable} holds no key; set it")
        return {"authorization": f"Bearer {key}"}

    def _without_key(self, text: str) -> str:
        key = os.environ.get(self.key_variable or "", "")
        return text.replace(key, "…") if key else text


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


def _completion(task: Task, response: dict[str, Any], seconds: float) -> Completion:
    choice, usage = response["choices"][0], response["usage"]
    text = choice["message"]["content"]
    if not isinstance(text, str):
        raise TypeError(f"content is {type(text).__name__}, not text")
    tokens = (choice.get("logprobs") or {}).get("content") or []
    prompt_tokens, completion_tokens = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    if task.choices is not None:
        answer, signals = _most_probable_label(task.choices, text, tokens)
        return Completion(answer, prompt_tokens, completion_tokens, seconds, signals, "choice")
    signals = token_signals([float(token["logprob"]) for token in tokens])
    return Completion(text, prompt_tokens, completion_tokens, seconds, signals, choice.get("finish_reason") or "stop")


def _most_probable_label(labels: Sequence[str], text: str, tokens: Sequence[dict]) -> tuple[str, dict[str, float]]:
    """Return the most probable label of the first token; without log-probabilities, the label that `text` starts with.

    A text that starts with no label is returned as it is, and is graded as a wrong answer.
    """
    found = dict.fromkeys(labels, 0.0)
    for one in tokens[0]["top_logprobs"] if tokens else []:
        if (label := one["token"].strip()) in found:
            found[label] += math.exp(one["logprob"])
    if sum(found.values()) == 0:
        return next((label for label in labels if text.strip().startswith(label)), text), {}
    signals = {f"label:{label}": probability for label, probability in found.items()}
    return max(found, key=found.__getitem__), signals | {"label_mass": sum(found.values())}
