"""The orchestrator behind the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from slm_orchestration.models.model import CallError
from slm_orchestration.serving.gateway.openai_api import Chat, Refused, Reply
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator, as_task
from slm_orchestration.serving.result import Result
from slm_orchestration.tasks.task import Task


@dataclass
class OrchestratorBackend:
    """Answers every chat with the model that the orchestrator chooses; it offers no model by name."""

    orchestrator: AdaptiveOrchestrator
    models: Sequence[str] = ()

    def at_hand(self, chat: Chat) -> Reply | None:
        """Return the answer if the cache holds exactly this chat's."""
        try:
            result = self.orchestrator.cached_task(self._task(chat))
        except Refused:  # as `answer` will say
            return None
        return None if result is None else _reply(result)

    async def answer(self, chat: Chat) -> Reply:
        """Return the served answer. Raises Refused if the chat is empty or no model fits the limits, or CallError."""
        return _reply(await self.orchestrator.aprocess_task(self._task(chat)))

    async def stream(self, chat: Chat) -> AsyncGenerator[str | Reply, None]:
        """Yield the answer as it is written, or at once where it had to be weighed first; then the whole reply."""
        async with aclosing(self.orchestrator.astream_task(self._task(chat))) as pieces:
            async for piece in pieces:
                yield piece if isinstance(piece, str) else _reply(piece)

    async def close(self) -> None:
        """Close the orchestrator, which gives the models' memory back."""
        await asyncio.to_thread(self.orchestrator.close)

    def _task(self, chat: Chat) -> Task:
        most = self.orchestrator.settings.max_tokens
        try:
            return as_task(chat.messages, max_tokens=min(chat.max_tokens or most, most))
        except ValueError as error:
            raise Refused(str(error)) from error


def _reply(result: Result) -> Reply:
    decision = result.decision
    if result.output is None or result.model is None:
        if not decision.failed_calls:
            raise Refused(result.error or "the task was refused")
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
