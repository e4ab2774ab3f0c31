"""An OpenAI-compatible HTTP gateway over an orchestrator, as an ASGI application.

Every error is in OpenAI's schema, invalid input is never a 500, and no prompt is logged. A client that disconnects,
also in the middle of a stream, ends its request.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from slm_orchestration.serving.gateway import openai_api as api
from slm_orchestration.serving.gateway import responses
from slm_orchestration.serving.gateway.loopback import LoopbackOnly
from slm_orchestration.serving.gateway.metrics import Metrics
from slm_orchestration.serving.gateway.middleware import CHAT_PATH, ChatMiddleware
from slm_orchestration.serving.gateway.openai_api import AUTO, Chat, ChatRequest, Reply
from slm_orchestration.serving.gateway.responses import EventStream, InvalidRequest
from slm_orchestration.serving.resilience import Admission, Stopping

Answer = TypeVar("Answer")
_LOG = logging.getLogger(__name__)


class Backend(Protocol):
    """Answers chats. Raises InvalidRequest, CallError, TimeoutError or Overloaded."""

    @property
    def models(self) -> Sequence[str]:
        """Names of the models that a request may name."""
        ...

    @property
    def cache_failures(self) -> int:
        """How often the file of the cache could not be used."""
        ...

    def cached_reply(self, chat: Chat) -> Reply | None:
        """Return the cached answer, if there is one, without blocking."""
        ...

    async def answer(self, chat: Chat) -> Reply: ...

    def stream(self, chat: Chat) -> AsyncGenerator[str | Reply, None]:
        """Yield the text of the answer in pieces, then the reply."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class RequestLimits:
    """Limits on one request: bytes of its body, and seconds to read it, answer it, be idle, and drain on shutdown.

    A chat that waited `stale_s` seconds inside an overloaded server is refused unread.
    """

    body_bytes: int = 1_000_000
    stale_s: float = 0.1
    read_s: float = 10.0
    answer_s: float = 300.0
    idle_s: float = 5.0
    drain_s: float = 30.0


@dataclass
class Gateway:
    """The parts of the application; with an `api_key`, /v1 requires it as the bearer token."""

    backend: Backend
    admission: Admission
    limits: RequestLimits = field(default_factory=RequestLimits)
    api_key: str | None = None

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.admission, lambda: self.backend.cache_failures)
        self._stopped = asyncio.Event()
        self._key_digest = None if self.api_key is None else api.key_digest(self.api_key)

    def app(self) -> ASGIApp:
        """Return the ASGI application."""
        routes = [
            Route(CHAT_PATH, self._chat, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/models/{model:path}", self._model),
            Route("/health", self._health),
            Route("/metrics", self._metrics),
            Route("/openapi.json", self._openapi),
        ]
        handlers: dict[Any, Any] = {HTTPException: responses.http_exception, Exception: responses.internal_error}
        rest = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)
        app = ChatMiddleware(self._chat, rest, self.limits.stale_s, self._count_shed)
        return LoopbackOnly(app) if self.api_key is None else app

    async def stop(self) -> int:
        """Refuse new requests, wait up to `drain_s` for the running ones, end the rest with a 503; return how many."""
        left = await self.admission.drain(0.0 if self._stopped.is_set() else self.limits.drain_s)
        self.end_requests()
        return left

    def end_requests(self) -> None:
        """End the running requests with a 503."""
        self._stopped.set()

    def _count_shed(self) -> None:
        self.admission.refused += 1
        self.metrics.count_request(429, 0.0)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        left = await self.stop()
        await self.backend.close()
        counts = self.admission
        _LOG.info(
            "stopped: %d accepted, %d answered, %d failed, %d abandoned, %d refused, %d unfinished",
            *(counts.accepted, counts.answered, counts.failed, counts.abandoned, counts.refused, left),
        )

    async def _chat(self, request: Request) -> Response:
        started = time.perf_counter()
        try:
            response = await self._respond(request, started)
        except (*responses.REQUEST_FAILURES, InvalidRequest) as error:
            response = responses.error_response(error)
        if not isinstance(response, EventStream):
            self.metrics.count_request(response.status_code, time.perf_counter() - started)
        return response

    async def _respond(self, request: Request, started: float) -> Response:
        if refusal := self._unauthorised(request):
            return refusal
        chat = await self._parse(request)
        if isinstance(chat, Response):
            return chat
        if chat.model != AUTO and chat.model not in self.backend.models:
            return responses.model_not_found(chat.model)
        wanted = chat.to_chat("" if self._key_digest is None else self._key_digest.hex())
        if chat.stream:
            return await self._stream(request, chat, wanted, started)
        if self.admission.closing or (reply := self.backend.cached_reply(wanted)) is None:
            reply = await responses.while_connected(request.receive, self._unless_stopped(self._answer(wanted)))
        else:
            self.admission.count_immediate()
        self.metrics.count_answer(reply)
        return responses.json_response(api.completion(reply))

    async def _answer(self, chat: Chat) -> Reply:
        async with self.admission.admitted(self.limits.answer_s):
            return await self.backend.answer(chat)

    async def _unless_stopped(self, work: Awaitable[Answer]) -> Answer:
        return await responses.unless(self._stopped.wait(), work, Stopping("the server is stopping"))

    async def _stream(self, request: Request, chat: ChatRequest, wanted: Chat, started: float) -> Response:
        usage = chat.stream_options is not None and chat.stream_options.include_usage
        pieces = self._admitted(self.backend.stream(wanted))
        # Wait for the first piece before the status line, so that a request that fails at once gets its own status.
        try:
            async with asyncio.timeout(self.limits.answer_s):
                first = await responses.while_connected(request.receive, self._unless_stopped(anext(pieces)))
        except BaseException:
            await pieces.aclose()
            raise

        def on_end(status: int) -> None:
            self.metrics.count_request(status, time.perf_counter() - started)

        return EventStream(self._chunks(first, pieces, chat.model, usage), pieces, self.limits.answer_s, on_end)

    async def _admitted(self, pieces: AsyncGenerator[str | Reply, None]) -> AsyncGenerator[str | Reply, None]:
        async with self.admission.admitted(), aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def _chunks(
        self, first: str | Reply, rest: AsyncGenerator[str | Reply, None], model: str, usage: bool
    ) -> AsyncIterator[bytes]:
        # Which model will answer may not be known yet, and all chunks of a stream name the same: the one asked for.
        head = api.completion_head("chat.completion.chunk", model) | ({"usage": None} if usage else {})
        yield responses.sse_event(head | {"choices": [api.chunk_choice({"role": "assistant", "content": ""})]})
        piece: str | Reply | None = first
        while isinstance(piece, str):
            yield responses.sse_event(head | {"choices": [api.chunk_choice({"content": piece})]})
            piece = await self._unless_stopped(anext(rest, None))
        if piece is not None:
            self.metrics.count_answer(piece)
            extra = {"orchestration": piece.orchestration()}
            yield responses.sse_event(head | {"choices": [api.chunk_choice({}, piece.finish_reason)]} | extra)
            if usage:
                yield responses.sse_event(head | {"choices": [], "usage": piece.usage()})
            await anext(rest, None)  # lets the backend and the admission finish
        yield b"data: [DONE]\n\n"

    async def _parse(self, request: Request) -> ChatRequest | Response:
        content_type = request.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            return responses.not_json(content_type)
        declared = request.headers.get("content-length", "0")
        body, limit = bytearray(), self.limits.body_bytes
        if declared.isdecimal() and int(declared[:20]) > limit:
            return responses.payload_too_large(limit)
        try:
            async with asyncio.timeout(self.limits.read_s):
                async for part in request.stream():
                    body += part
                    if len(body) > limit:
                        return responses.payload_too_large(limit)
        except TimeoutError:
            message = f"the request took longer than {self.limits.read_s:g} s to arrive"
            return responses.json_response(api.error_body(message, "invalid_request_error"), 408, close=True)
        try:
            return ChatRequest.model_validate_json(bytes(body))
        except ValidationError as error:
            return responses.json_response(api.validation_error_body(error), 400)

    def _unauthorised(self, request: Request) -> Response | None:
        if self._key_digest is None:
            return None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Digests have equal length, so the comparison takes the same time for every key.
        if scheme.lower() == "bearer" and hmac.compare_digest(api.key_digest(given.strip()), self._key_digest):
            return None
        content = api.error_body("the API key is missing or wrong", "invalid_request_error", code="invalid_api_key")
        return responses.json_response(content, 401, close=True)

    async def _models(self, request: Request) -> Response:
        listed = [api.model_card(name) for name in (AUTO, *self.backend.models)]
        return self._unauthorised(request) or responses.json_response({"object": "list", "data": listed})

    async def _model(self, request: Request) -> Response:
        name = request.path_params["model"]
        found = (
            responses.json_response(api.model_card(name))
            if name in (AUTO, *self.backend.models)
            else responses.model_not_found(name)
        )
        return self._unauthorised(request) or found

    async def _health(self, request: Request) -> Response:
        stopping = self.admission.closing
        return responses.json_response({"status": "stopping" if stopping else "ok"}, 503 if stopping else 200)

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def _openapi(self, request: Request) -> Response:
        return responses.json_response(api.openapi_document())
