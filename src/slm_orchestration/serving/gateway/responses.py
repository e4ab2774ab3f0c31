"""HTTP responses of the gateway: JSON, errors in OpenAI's schema, event streams, and what ends them early."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from slm_orchestration.models.model import CallError
from slm_orchestration.serving.gateway.openai_api import error_body
from slm_orchestration.serving.resilience import Overloaded, Stopping

REQUEST_FAILURES = (TimeoutError, CallError, Overloaded, Stopping, ClientDisconnect)
Answer = TypeVar("Answer")

_LOG = logging.getLogger(__name__)
_CLIENT_CLOSED = 499  # the status that proxies log for a client that disconnected


class InvalidRequest(ValueError):
    """The request cannot be served, such as an empty chat or limits that no model fits; the message says why."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class EventStream(StreamingResponse):
    """A stream of server-sent events; it ends with its source, at the time limit, or when the client disconnects.

    `on_end` is called with the final HTTP status.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        source: AsyncGenerator[Any, None],
        limit_s: float,
        on_end: Callable[[int], None],
    ) -> None:
        super().__init__(self._guarded(events), headers={"cache-control": "no-store"})
        self._source, self._limit_s, self._on_end, self._status = source, limit_s, on_end, _CLIENT_CLOSED

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # The limit also ends a client that does not read, because sending waits for it.
            async with asyncio.timeout(self._limit_s):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            self._status = 504
        finally:
            await self._source.aclose()
            self._on_end(self._status)

    async def _guarded(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for part in events:
                yield part
            self._status = 200
        except (*REQUEST_FAILURES, InvalidRequest) as error:
            status, content, _ = _error_parts(error)
            yield sse_event(content)
            self._status = status


async def while_connected(receive: Receive, work: Awaitable[Answer]) -> Answer:
    """Return the result of `work`; if the client disconnects first, cancel it and raise ClientDisconnect."""
    return await unless(_disconnect(receive), work, ClientDisconnect())


async def unless(event: Awaitable[object], work: Awaitable[Answer], error: Exception) -> Answer:
    """Return the result of `work`; if `event` comes first, cancel it and raise `error`."""
    task, left = asyncio.ensure_future(work), asyncio.ensure_future(event)
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise error
        return task.result()
    finally:
        task.cancel()
        left.cancel()
        await asyncio.gather(task, left, return_exceptions=True)


def json_response(content: dict[str, Any], status: int = 200, *, close: bool = False) -> Response:
    """Return `content` as JSON; `close` ends the connection, so that the rest of the request is not read."""
    headers = {"connection": "close"} if close else None
    return Response(orjson.dumps(content), status, headers, "application/json")


def sse_event(content: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return b"data: " + orjson.dumps(content) + b"\n\n"


def model_not_found(name: str) -> Response:
    """Return a 404 for an unknown model."""
    message = f"the model {name[:200]!r} does not exist; /v1/models lists those that do"
    return json_response(error_body(message, "invalid_request_error", param="model", code="model_not_found"), 404)


def not_json(content_type: str) -> Response:
    """Return a 415 for a body of another type, which a page of another site can send without asking."""
    message = f"the content-type is {content_type[:100]!r}; send application/json"
    return json_response(error_body(message, "invalid_request_error"), 415, close=True)


def payload_too_large(limit: int) -> Response:
    """Return a 413 for a request that is too large."""
    return json_response(
        error_body(f"the request is larger than {limit} bytes", "invalid_request_error"), 413, close=True
    )


def error_response(error: Exception) -> Response:
    """Return the response to a request that failed with one of REQUEST_FAILURES or InvalidRequest."""
    status, content, headers = _error_parts(error)
    response = json_response(content, status)
    response.headers.update(headers)
    return response


async def http_exception(request: Request, error: Exception) -> Response:
    """Return Starlette's own errors, such as an unknown path, in OpenAI's schema."""
    assert isinstance(error, HTTPException)
    response = json_response(error_body(error.detail, "invalid_request_error"), error.status_code)
    response.headers.update(error.headers or {})
    return response


async def internal_error(request: Request, error: Exception) -> Response:
    """Return a 500 for an unexpected error; the server logs the traceback."""
    return json_response(error_body("an internal error, which the server has logged", "server_error"), 500)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _error_parts(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the status, the body and the headers of the response to `error`."""
    if isinstance(error, InvalidRequest):
        return 400, error_body(str(error), "invalid_request_error", param="messages", code=error.code), {}
    if isinstance(error, Stopping):
        message = "the server is stopping; send the request again in a moment"
        return 503, error_body(message, "server_error", code="server_stopping"), {"connection": "close"}
    if isinstance(error, Overloaded):
        return 429, error_body(str(error), "rate_limit_error", code="overloaded"), {"retry-after": "1"}
    if isinstance(error, TimeoutError):
        return 504, error_body("the answer took too long", "server_error", code="timeout"), {}
    if isinstance(error, ClientDisconnect):
        return _CLIENT_CLOSED, error_body("the client left", "invalid_request_error"), {}
    # One printable line, whatever a model or its server says.
    _LOG.warning("no model answered: %s", "".join(one if one.isprintable() else "?" for one in str(error)))
    return 503, error_body("no model answered", "server_error", code="model_unavailable"), {}
