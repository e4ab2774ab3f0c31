"""How the gateway says things over HTTP: answers, errors in OpenAI's form, and streams of events."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from slm_orchestration.models.model import CallError
from slm_orchestration.orchestration import gateway_schema as schema
from slm_orchestration.orchestration.resilience import Overloaded

Answer = TypeVar("Answer")
FAILURES = (TimeoutError, CallError, Overloaded, ClientDisconnect)
_LOG = logging.getLogger(__name__)
_LEFT = 499  # what proxies log for a client that left; nobody reads it


class Refused(ValueError):
    """The request cannot be served as it is, such as a prompt beyond the model's context; the message says why."""


class Events(StreamingResponse):
    """A stream of server-sent events that ends with its source, its time or its client, and says how it ended."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        source: AsyncGenerator[Any, None],
        limit_s: float,
        ended: Callable[[int], None],
    ) -> None:
        super().__init__(self._guarded(events), headers={"cache-control": "no-store"})
        self._source, self._limit_s, self._ended, self._status = source, limit_s, ended, _LEFT

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # Also the end of a client that does not read: sending waits for it.
            async with asyncio.timeout(self._limit_s):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            self._status = 504
        finally:
            await self._source.aclose()
            self._ended(self._status)

    async def _guarded(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for part in events:
                yield part
            self._status = 200
        except (*FAILURES, Refused) as error:
            status, fault, _ = _told(error)
            yield event(fault)
            self._status = status


async def while_connected(receive: Receive, work: Awaitable[Answer]) -> Answer:
    """Return what `work` gives; if the client leaves before, cancel it and raise ClientDisconnect."""
    task, left = asyncio.ensure_future(work), asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        left.cancel()
        await asyncio.gather(task, left, return_exceptions=True)


def json_response(content: dict[str, Any], status: int = 200, *, close: bool = False) -> Response:
    """Return `content` as JSON; `close` ends the connection, where the rest of the request is not wanted."""
    headers = {"connection": "close"} if close else None
    return Response(orjson.dumps(content), status, headers, "application/json")


def event(content: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return b"data: " + orjson.dumps(content) + b"\n\n"


def choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """Return the choice of a chunk."""
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def card(model: str) -> dict[str, Any]:
    """Return a model as the list of models shows it."""
    return {"id": model, "object": "model", "created": 0, "owned_by": "slm-orchestration"}


def no_model(name: str) -> Response:
    """Say that there is no such model."""
    message = f"the model {name[:200]!r} does not exist; /v1/models lists those that do"
    return json_response(schema.error(message, "invalid_request_error", param="model", code="model_not_found"), 404)


def too_large(limit: int) -> Response:
    """Say that a request is too large."""
    return json_response(
        schema.error(f"the request is larger than {limit} bytes", "invalid_request_error"), 413, close=True
    )


def failure(error: Exception) -> Response:
    """Return the answer to a request that failed with one of FAILURES or Refused."""
    status, fault, headers = _told(error)
    response = json_response(fault, status)
    response.headers.update(headers)
    return response


async def http_error(request: Request, error: Exception) -> Response:
    """Put Starlette's own errors, such as an unknown path, in OpenAI's form."""
    assert isinstance(error, HTTPException)
    response = json_response(schema.error(error.detail, "invalid_request_error"), error.status_code)
    response.headers.update(error.headers or {})
    return response


async def unexpected(request: Request, error: Exception) -> Response:
    """Answer where the program is wrong; the server logs the traceback."""
    return json_response(schema.error("an error of the server, which has logged it", "server_error"), 500)


def digest(key: str) -> bytes:
    """Return what API keys are compared by."""
    return hashlib.sha256(key.encode()).digest()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _told(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the status, the body and the headers that tell a client of `error`."""
    if isinstance(error, Refused):
        return 400, schema.error(str(error), "invalid_request_error", param="messages"), {}
    if isinstance(error, Overloaded):
        return 429, schema.error(str(error), "rate_limit_error", code="overloaded"), {"retry-after": "1"}
    if isinstance(error, TimeoutError):
        return 504, schema.error("the answer took too long", "server_error", code="timeout"), {}
    if isinstance(error, ClientDisconnect):
        return _LEFT, schema.error("the client left", "invalid_request_error"), {}
    _LOG.warning("no model answered: %s", error)
    return 503, schema.error("no model answered", "server_error", code="model_unavailable"), {}
