"""A model behind an OpenAI-compatible server: vLLM, SGLang, Ollama, llama.cpp or a provider."""

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

from slm_orchestration.models.model import CallError, Completion
from slm_orchestration.tasks.task import Task

_CHARACTERS_PER_TOKEN = 4
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT_S = 60.0
_PROMPT_FORM = "the server's chat template; temperature 0; choices by the first token's probabilities if offered"


@dataclass
class EndpointModel:
    """Asks `model` at `url` (which ends in /v1), at most `concurrency` calls at a time.

    A transient failure (429, 5xx, a stall beyond `timeout_s`, a cut or malformed answer) is tried up to `attempts`
    times, waiting `backoff_s`, then twice as long each time, with jitter, or as long as the server asks. The key is
    read from the environment variable `key_variable` when a call is made, and is neither stored nor shown. `device`
    names the row of the price table that a second of its time costs.
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
        """Return an estimate, at four characters a token; what a call really took comes from the server."""
        return [
            1 + sum(len(message["content"]) for message in task.messages) // _CHARACTERS_PER_TOKEN for task in tasks
        ]

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Answer `tasks` concurrently. Raises CallError if one of them fails for good."""
        done: dict[int, Completion] = {}
        for finished in self.stream(tasks, batch_tokens=0, seed=seed):
            for place, completion in finished:
                if isinstance(completion, CallError):
                    raise completion
                done[place] = completion
        return [done[place] for place in range(len(tasks))]

    def stream(
        self, tasks: Sequence[Task], *, batch_tokens: int, seed: int
    ) -> Iterator[list[tuple[int, Completion | CallError]]]:
        """Yield places in `tasks` with their completions, or why there is none, as the server answers.

        How many are under way is bounded by `concurrency`; the server batches them, so `batch_tokens` plays no part.
        """
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            client = httpx2.AsyncClient(timeout=self.timeout_s)
            turn = _Turn(self.concurrency, self.requests_per_minute, random.Random(seed))
            calls = [loop.create_task(self._placed(client, turn, n, task, seed)) for n, task in enumerate(tasks)]
            left = set(calls)
            try:
                while left:
                    done, left = runner.run(_first(left))
                    yield [call.result() for call in done]
            finally:
                for call in left:
                    call.cancel()
                runner.run(client.aclose())

    async def _placed(
        self, client: httpx2.AsyncClient, turn: _Turn, place: int, task: Task, seed: int
    ) -> tuple[int, Completion | CallError]:
        try:
            return place, await self._answer(client, turn, task, seed)
        except CallError as error:
            return place, error

    async def _answer(self, client: httpx2.AsyncClient, turn: _Turn, task: Task, seed: int) -> Completion:
        body = {"model": self.model, "messages": task.messages, "temperature": 0, "seed": seed}
        body |= {"max_tokens": task.max_tokens, "logprobs": True, "top_logprobs": self.top_logprobs}
        reason, wait = "", 0.0
        for attempt in range(self.attempts):
            await asyncio.sleep(wait)
            wait = turn.jitter.uniform(0.5, 1) * min(self.backoff_s * 2**attempt, _LONGEST_WAIT_S)
            async with turn.slots:
                await turn.paced()
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
                wait = min(float(asked), _LONGEST_WAIT_S)
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


class _Turn:
    """Who may call now: so many at a time, and so many a minute."""

    def __init__(self, concurrency: int, requests_per_minute: float | None, jitter: random.Random) -> None:
        self.slots, self.jitter = asyncio.Semaphore(concurrency), jitter
        self._apart_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0

    async def paced(self) -> None:
        """Wait until the next call may be made."""
        now = time.monotonic()
        self._next = max(now, self._next) + self._apart_s
        await asyncio.sleep(self._next - self._apart_s - now)


async def _first(calls: set[asyncio.Task]) -> tuple[set[asyncio.Task], set[asyncio.Task]]:
    return await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)


def _completion(task: Task, said: dict[str, Any], seconds: float) -> Completion:
    choice, usage = said["choices"][0], said["usage"]
    text = choice["message"]["content"]
    if not isinstance(text, str):
        raise TypeError(f"content is {type(text).__name__}, not text")
    tokens = (choice.get("logprobs") or {}).get("content") or []
    read, written = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    if task.choices is not None:
        answer, raw = _chosen(task.choices, text, tokens)
        return Completion(answer, read, written, seconds, raw, "choice")
    reason = choice.get("finish_reason") or "stop"
    return Completion(text, read, written, seconds, _signals([token["logprob"] for token in tokens]), reason)


def _chosen(labels: Sequence[str], text: str, tokens: Sequence[dict]) -> tuple[str, dict[str, float]]:
    """Return the likeliest label of the first token, or without log-probabilities the one that the text begins with."""
    found = dict.fromkeys(labels, 0.0)
    for one in tokens[0]["top_logprobs"] if tokens else []:
        if (label := one["token"].strip()) in found:
            found[label] += math.exp(one["logprob"])
    if sum(found.values()) == 0:
        return next((label for label in labels if text.strip().startswith(label)), text), {}
    raw = {f"label:{label}": probability for label, probability in found.items()}
    return max(found, key=found.__getitem__), raw | {"label_mass": sum(found.values())}


def _signals(log_probabilities: Sequence[float]) -> dict[str, float]:
    if not log_probabilities:
        return {}
    ordered = sorted(log_probabilities)
    total, last = sum(ordered), len(ordered) - 1
    raw = {"logprob_sum": total, "logprob_mean": total / len(ordered), "logprob_min": ordered[0]}
    return raw | {"logprob_q10": ordered[round(0.1 * last)], "logprob_q50": ordered[round(0.5 * last)]}
