"""An OpenAI-compatible HTTP gateway over an orchestrator, as an ASGI application.

Every error is in OpenAI's form, bad input is never a 500, and no prompt is logged. A client that leaves, in mid-stream
too, ends its request.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from slm_orchestration.models.model import CallError
from slm_orchestration.serving.gateway import openai_api as schema
from slm_orchestration.serving.gateway.admission import CHAT, Door
from slm_orchestration.serving.gateway.metrics import Metrics
from slm_orchestration.serving.gateway.openai_api import (
    AUTO,
    Chat,
    ChatRequest,
    Events,
    Refused,
    Reply,
    card,
    choice,
    digest,
    event,
    failure,
    http_error,
    json_response,
    no_model,
    too_large,
    unexpected,
    while_connected,
)
from slm_orchestration.serving.resilience import Admission, Overloaded

_LOG = logging.getLogger(__name__)


class Backend(Protocol):
    """Answers chats. Raises Refused, CallError, TimeoutError or Overloaded."""

    models: Sequence[str]

    def at_hand(self, chat: Chat) -> Reply | None:
        """Return the answer if it is there without any work or waiting."""
        ...

    async def answer(self, chat: Chat) -> Reply: ...

    def stream(self, chat: Chat) -> AsyncGenerator[str | Reply, None]:
        """Yield the answer piece by piece, then the whole reply."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Bounds:
    """What one client may take: bytes of a request; seconds to send it, to be answered, to be idle, to end.

    A chat that waited `stale_s` inside a server that cannot keep up is refused unread.
    """

    body_bytes: int = 1_000_000
    stale_s: float = 0.1
    read_s: float = 10.0
    answer_s: float = 300.0
    idle_s: float = 5.0
    drain_s: float = 30.0


@dataclass
class Gateway:
    """The application's parts; `app()` joins them. With an `api_key`, /v1 answers only who names it."""

    backend: Backend
    admission: Admission
    bounds: Bounds = field(default_factory=Bounds)
    api_key: str | None = None

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.admission)
        self._digest = None if self.api_key is None else digest(self.api_key)

    def app(self) -> ASGIApp:
        """Return the ASGI application."""
        routes = [
            Route(CHAT, self._chat, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/models/{model:path}", self._model),
            Route("/health", self._health),
            Route("/metrics", self._metrics),
            Route("/openapi.json", self._openapi),
        ]
        handlers: dict[Any, Any] = {HTTPException: http_error, Exception: unexpected}
        rest = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)
        return Door(self._chat, rest, self.bounds.stale_s, self._turned_away)

    def _turned_away(self) -> None:
        self.admission.refused += 1
        self.metrics.ended(429, 0.0)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        left = await self.admission.drain(self.bounds.drain_s)
        await self.backend.close()
        counts = self.admission
        _LOG.info(
            "stopped: %d accepted, %d answered, %d failed, %d abandoned, %d refused, %d unfinished",
            *(counts.accepted, counts.answered, counts.failed, counts.abandoned, counts.refused, left),
        )

    async def _chat(self, request: Request) -> Response:
        started = time.perf_counter()
        try:
            response = await self._served(request, started)
        except (TimeoutError, CallError, Overloaded, Refused, ClientDisconnect) as error:
            response = failure(error)
        if not isinstance(response, Events):
            self.metrics.ended(response.status_code, time.perf_counter() - started)
        return response

    async def _served(self, request: Request, started: float) -> Response:
        if refusal := self._unauthorised(request):
            return refusal
        chat = await self._read(request)
        if isinstance(chat, Response):
            return chat
        if chat.model != AUTO and chat.model not in self.backend.models:
            return no_model(chat.model)
        if chat.stream:
            return await self._streamed(request, chat, started)
        asked = chat.chat()
        if self.admission.closing or (reply := self.backend.at_hand(asked)) is None:
            reply = await while_connected(request.receive, self._answered(asked))
        else:
            self.admission.passed()
        self.metrics.answered(reply)
        return json_response(schema.completion(reply))

    async def _answered(self, chat: Chat) -> Reply:
        async with self.admission.admitted(self.bounds.answer_s):
            return await self.backend.answer(chat)

    async def _streamed(self, request: Request, chat: ChatRequest, started: float) -> Response:
        usage = chat.stream_options is not None and chat.stream_options.include_usage
        pieces = self._admitted(self.backend.stream(chat.chat()))
        # The first piece comes before the status line, so that a request that fails at once gets an honest status.
        try:
            async with asyncio.timeout(self.bounds.answer_s):
                first = await while_connected(request.receive, anext(pieces))
        except BaseException:
            await pieces.aclose()
            raise

        def ended(status: int) -> None:
            self.metrics.ended(status, time.perf_counter() - started)

        return Events(self._chunks(first, pieces, chat.model, usage), pieces, self.bounds.answer_s, ended)

    async def _admitted(self, pieces: AsyncGenerator[str | Reply, None]) -> AsyncGenerator[str | Reply, None]:
        async with self.admission.admitted(), aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def _chunks(
        self, first: str | Reply, rest: AsyncGenerator[str | Reply, None], model: str, usage: bool
    ) -> AsyncIterator[bytes]:
        head = schema.head("chat.completion.chunk", first.model if isinstance(first, Reply) else model)
        yield event(head | {"choices": [choice({"role": "assistant", "content": ""})]})
        piece: str | Reply | None = first
        while isinstance(piece, str):
            yield event(head | {"choices": [choice({"content": piece})]})
            piece = await anext(rest, None)
        if piece is not None:
            self.metrics.answered(piece)
            head["model"] = piece.model
            extra = {"orchestration": piece.orchestration()}
            yield event(head | {"choices": [choice({}, piece.finish_reason)]} | extra)
            if usage:
                yield event(head | {"choices": [], "usage": piece.usage()})
            await anext(rest, None)  # lets the backend and the bulkhead finish
        yield b"data: [DONE]\n\n"

    async def _read(self, request: Request) -> ChatRequest | Response:
        declared = request.headers.get("content-length", "0")
        body, limit = bytearray(), self.bounds.body_bytes
        if declared.isdecimal() and int(declared[:20]) > limit:
            return too_large(limit)
        try:
            async with asyncio.timeout(self.bounds.read_s):
                async for part in request.stream():
                    body += part
                    if len(body) > limit:
                        return too_large(limit)
        except TimeoutError:
            message = f"the request took longer than {self.bounds.read_s:g} s to arrive"
            return json_response(schema.error_body(message, "invalid_request_error"), 408, close=True)
        try:
            return ChatRequest.model_validate_json(bytes(body))
        except ValidationError as refused:
            return json_response(schema.fault_of(refused), 400)

    def _unauthorised(self, request: Request) -> Response | None:
        if self._digest is None:
            return None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Digests have one length, so the comparison takes the same time whatever was given.
        if scheme.lower() == "bearer" and hmac.compare_digest(digest(given.strip()), self._digest):
            return None
        fault = schema.error_body("no or a wrong API key", "invalid_request_error", code="invalid_api_key")
        return json_response(fault, 401, close=True)

    async def _models(self, request: Request) -> Response:
        listed = [card(name) for name in (AUTO, *self.backend.models)]
        return self._unauthorised(request) or json_response({"object": "list", "data": listed})

    async def _model(self, request: Request) -> Response:
        name = request.path_params["model"]
        found = json_response(card(name)) if name in (AUTO, *self.backend.models) else no_model(name)
        return self._unauthorised(request) or found

    async def _health(self, request: Request) -> Response:
        stopping = self.admission.closing
        return json_response({"status": "stopping" if stopping else "ok"}, 503 if stopping else 200)

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def _openapi(self, request: Request) -> Response:
        return json_response(schema.openapi())
