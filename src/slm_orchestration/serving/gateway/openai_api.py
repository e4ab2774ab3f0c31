"""OpenAI's chat API: request and response schemas, errors, event streams and the OpenAPI document."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from slm_orchestration.models.model import CallError
from slm_orchestration.serving.resilience import Overloaded, Stopping

AUTO = "auto"
MAX_MESSAGES = 1000
REQUEST_FAILURES = (TimeoutError, CallError, Overloaded, Stopping, ClientDisconnect)
Answer = TypeVar("Answer")

_LOG = logging.getLogger(__name__)
_CLIENT_CLOSED = 499  # the status that proxies log for a client that disconnected


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class TextPart(_Strict):
    """A text part of a message; images and audio are refused."""

    type: Literal["text"]
    text: str


class Message(_Strict):
    """One chat message; the role developer is treated as system."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1, max_length=MAX_MESSAGES)]

    def plain(self) -> dict[str, str]:
        """Return the message with one text and a role that models know."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(_Strict):
    """Options of a stream; `include_usage` adds a last chunk with the token counts."""

    include_usage: bool = False


class TextFormat(_Strict):
    """The only supported response format."""

    type: Literal["text"]


# What has no effect when it is empty, and is not supported otherwise.
Nothing = Annotated[list[Any], Field(max_length=0)] | None
_NOT_SUPPORTED = {
    "stop": "stop sequences are not supported; leave stop out",
    "tools": "tools are not supported; leave tools out",
    "functions": "functions are not supported; leave functions out",
    "n": "one answer per request is supported; leave n out or send 1",
    "response_format": "only text is supported, not JSON mode; leave response_format out and ask for JSON in words",
    "logprobs": "log-probabilities are not returned; leave logprobs out",
    "content": "a message needs a text or a list of text parts; pictures, sound, files and null are not supported",
    "role": "the role of a message is system, developer, user or assistant; messages of tools are not supported",
}


class ChatRequest(_Strict):
    """A request for a chat completion; fields that are not named here are ignored.

    `model` is "auto", which lets the router choose, or the name of a model of the pool. temperature, top_p and seed
    are validated and have no effect: models decode as the server is configured, so that equal requests get equal
    answers.
    """

    model: Annotated[str, Field(min_length=1, max_length=200)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    n: Literal[1] | None = 1
    response_format: TextFormat | None = None
    stop: Nothing = None
    tools: Nothing = None
    functions: Nothing = None
    logprobs: Literal[False] | None = None
    user: Annotated[str, Field(max_length=1000)] | None = None

    def to_chat(self, key: str = "") -> Chat:
        """Return the part that a backend needs; the tenant is the digest `key` of the API key and the `user`."""
        messages = [message.plain() for message in self.messages]
        model = None if self.model == AUTO else self.model
        return Chat(messages, model, self.max_completion_tokens or self.max_tokens, f"{key}/{self.user or ''}")


@dataclass(frozen=True)
class Chat:
    """A chat to answer; `model` None lets the router choose, `max_tokens` None uses the server's limit.

    `tenant` is who asks: without sharing, the cache serves an answer to no other.
    """

    messages: list[dict[str, str]]
    model: str | None
    max_tokens: int | None
    tenant: str = "/"


@dataclass(frozen=True)
class Reply:
    """An answer with its tokens and cost; `models_called` is empty for an answer from the cache."""

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    cost_usd: float
    models_called: tuple[str, ...]
    cache: str | None = None

    def usage(self) -> dict[str, int]:
        """Return the token counts under OpenAI's names."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }

    def orchestration(self) -> dict[str, Any]:
        """Return the fields that OpenAI's schema lacks."""
        return {
            "model": self.model,
            "cost_usd": self.cost_usd,
            "models_called": list(self.models_called),
            "cache": self.cache,
        }


def completion_head(kind: str, model: str) -> dict[str, Any]:
    """Return the fields that a completion and its chunks have in common, with a new id."""
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def completion(reply: Reply) -> dict[str, Any]:
    """Return a whole chat completion."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.text, "refusal": None},
        "logprobs": None,
        "finish_reason": reply.finish_reason,
    }
    parts = {"choices": [choice], "usage": reply.usage(), "orchestration": reply.orchestration()}
    return completion_head("chat.completion", reply.model) | parts


def error_body(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return an error in OpenAI's schema."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def validation_error_body(refused: ValidationError) -> dict[str, Any]:
    """Return the first validation error of a request, without repeating its content."""
    first = refused.errors(include_url=False, include_context=False, include_input=False)[0]
    parts = [str(part) for part in first["loc"]]
    # Within a field that is not supported the place is the field: what lies below it is the schema's.
    known = next((number for number, part in enumerate(parts) if part in _NOT_SUPPORTED), None)
    if known is not None:
        place = ".".join(parts[: known + 1])
        return error_body(f"{place}: {_NOT_SUPPORTED[parts[known]]}", "invalid_request_error", param=place)
    place = ".".join(parts)[:200]
    message = f"{place}: {first['msg']}" if place else first["msg"]
    return error_body(message[:500], "invalid_request_error", param=place or None)


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    form = ChatRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = form.pop("$defs")
    failed = {"description": "an error", "content": _json({"$ref": "#/components/schemas/Error"})}
    statuses = ("400", "401", "403", "404", "408", "413", "415", "429", "431", "500", "503", "504")
    errors = dict.fromkeys(statuses, failed)
    success = {"description": "the answer; a stream of chunks if requested", "content": {
        **_json({"$ref": "#/components/schemas/Completion"}), "text/event-stream": {"schema": {"type": "string"}},
    }}  # fmt: skip
    body = {"required": True, "content": _json({"$ref": "#/components/schemas/ChatRequest"})}
    found = {"200": {"description": "found", "content": _json({"type": "object"})}, "401": failed}
    text = {"200": {"description": "text", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "slm-orchestration", "version": "1"},
        "paths": {
            "/v1/chat/completions": {"post": {"requestBody": body, "responses": {"200": success, **errors}}},
            "/v1/models": {"get": {"responses": found}},
            "/v1/models/{model}": {"get": {"parameters": [_MODEL], "responses": {**found, "404": failed}}},
            "/health": {"get": {"responses": {"200": found["200"], "503": found["200"]}}},
            "/metrics": {"get": {"responses": text}},
        },
        "components": {"schemas": {**parts, "ChatRequest": form, "Error": _ERROR, "Completion": _COMPLETION}},
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_MODEL = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "object", "required": ["message", "type", "param", "code"]}},
}
_COMPLETION = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {"object": {"const": "chat.completion"}, "choices": {"type": "array", "minItems": 1}},
}


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


def chunk_choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """Return the choice of a chunk."""
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def model_card(model: str) -> dict[str, Any]:
    """Return a model as an item of /v1/models."""
    return {"id": model, "object": "model", "created": 0, "owned_by": "slm-orchestration"}


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


def key_digest(key: str) -> bytes:
    """Return the digest by which API keys are compared."""
    return hashlib.sha256(key.encode()).digest()


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
