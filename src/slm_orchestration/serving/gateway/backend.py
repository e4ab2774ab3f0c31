"""The gateway's backend: chats answered by an orchestrator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from slm_orchestration.models.model import CallError
from slm_orchestration.serving.gateway.openai_api import Chat, Reply
from slm_orchestration.serving.gateway.responses import InvalidRequest
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator, RequestOptions, as_task
from slm_orchestration.serving.result import Result
from slm_orchestration.tasks.task import Task


@dataclass
class OrchestratorBackend:
    """Answers chats with the model that the request names, else with the one that the orchestrator chooses."""

    orchestrator: AdaptiveOrchestrator

    @property
    def models(self) -> Sequence[str]:
        return self.orchestrator.pool.names

    @property
    def cache_failures(self) -> int:
        return self.orchestrator.cache_failures

    def cached_reply(self, chat: Chat) -> Reply | None:
        """Return the answer if exactly this chat is cached."""
        try:
            result = self.orchestrator.cached_task(self._task(chat), _options(chat))
        except InvalidRequest:  # `answer` raises it again, with its response
            return None
        return None if result is None else _reply(result)

    async def answer(self, chat: Chat) -> Reply:
        """Return the answer. Raises InvalidRequest if the chat is empty or no model fits the limits, else CallError."""
        return _reply(await self.orchestrator.aprocess_task(self._task(chat), _options(chat)))

    async def stream(self, chat: Chat) -> AsyncGenerator[str | Reply, None]:
        """Yield the text of the answer as the orchestrator streams it, then the reply."""
        async with aclosing(self.orchestrator.astream_task(self._task(chat), _options(chat))) as pieces:
            async for piece in pieces:
                yield piece if isinstance(piece, str) else _reply(piece)

    async def close(self) -> None:
        """Close the orchestrator without waiting for calls that cannot be ended."""
        await asyncio.to_thread(self.orchestrator.close, wait=False)

    def _task(self, chat: Chat) -> Task:
        limit = self.orchestrator.settings.max_tokens
        try:
            return as_task(chat.messages, max_tokens=min(chat.max_tokens or limit, limit))
        except ValueError as error:
            raise InvalidRequest(str(error)) from error


def _options(chat: Chat) -> RequestOptions:
    return RequestOptions(chat.model, chat.tenant)


def _reply(result: Result) -> Reply:
    decision = result.decision
    if result.context_exceeded:
        raise InvalidRequest(result.error or "the prompt is too long", code="context_length_exceeded")
    if result.output is None or result.model is None:
        if not decision.failed_calls:
            raise InvalidRequest(result.error or "the task was refused")
        raise CallError(result.error or "no model answered")
    return Reply(
        text=result.output,
        model=result.model,
        prompt_tokens=result.prompt_tokens,
        completion_tokens=result.completion_tokens,
        finish_reason="length" if result.finish_reason == "length" else "stop",
        cost_usd=result.cost_usd,
        models_called=decision.models_called,
        cache=decision.cache,
    )
