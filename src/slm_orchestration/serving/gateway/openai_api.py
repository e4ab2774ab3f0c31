"""What the gateway takes and gives, in OpenAI's form: requests, answers, errors and the OpenAPI document."""

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
from slm_orchestration.serving.resilience import Overloaded

AUTO = "auto"
MOST_MESSAGES = 1000


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class TextPart(_Strict):
    """A piece of a message; pictures and sound are not taken."""

    type: Literal["text"]
    text: str


class Message(_Strict):
    """One chat message. A developer's is read as the system's."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1, max_length=MOST_MESSAGES)]

    def plain(self) -> dict[str, str]:
        """Return the message as models take it."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(_Strict):
    """Whether the last chunk counts the tokens."""

    include_usage: bool = False


class TextFormat(_Strict):
    """The only form of an answer."""

    type: Literal["text"]


class ChatRequest(_Strict):
    """A request for a chat completion; fields that are not named here are ignored.

    `model` is auto, and the router chooses, or the name of a model. temperature, top_p and seed are checked and
    without effect: the models decode as the server is configured, so that equal requests get equal answers.
    """

    model: Annotated[str, Field(min_length=1, max_length=200)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    n: Literal[1] | None = 1
    response_format: TextFormat | None = None
    stop: None = None
    tools: None = None
    functions: None = None
    logprobs: Literal[False] | None = None

    def chat(self) -> Chat:
        """Return what a backend needs of it."""
        messages = [message.plain() for message in self.messages]
        return Chat(messages, None if self.model == AUTO else self.model, self.max_completion_tokens or self.max_tokens)


@dataclass(frozen=True)
class Chat:
    """What is to be answered; without a model the router chooses, without a length the server."""

    messages: list[dict[str, str]]
    model: str | None
    max_tokens: int | None


@dataclass(frozen=True)
class Reply:
    """An answer and what it took; `models_called` is empty where it came from the cache."""

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    cost_usd: float
    models_called: tuple[str, ...]
    cache: str | None = None

    def usage(self) -> dict[str, int]:
        """Return the tokens as OpenAI counts them."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }

    def orchestration(self) -> dict[str, Any]:
        """Return what OpenAI's form has no place for."""
        return {"cost_usd": self.cost_usd, "models_called": list(self.models_called), "cache": self.cache}


def head(kind: str, model: str) -> dict[str, Any]:
    """Return the fields that a completion and its chunks share; chunks of one answer share one head."""
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
    return head("chat.completion", reply.model) | parts


def error_body(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return an error as OpenAI words it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def fault_of(refused: ValidationError) -> dict[str, Any]:
    """Return the first thing that is wrong with a request, without repeating what it said."""
    first = refused.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:200] or None
    message = first["msg"] if place is None else f"{place}: {first['msg']}"
    return error_body(message[:500], "invalid_request_error", param=place)


def openapi() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    form = ChatRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = form.pop("$defs")
    fault = {"description": "an error", "content": _json({"$ref": "#/components/schemas/Error"})}
    ends = {status: fault for status in ("400", "401", "404", "408", "413", "429", "500", "503", "504")}
    answered = {"description": "the answer; a stream of chunks if asked for", "content": {
        **_json({"$ref": "#/components/schemas/Completion"}), "text/event-stream": {"schema": {"type": "string"}},
    }}  # fmt: skip
    body = {"required": True, "content": _json({"$ref": "#/components/schemas/ChatRequest"})}
    found = {"200": {"description": "found", "content": _json({"type": "object"})}, "401": fault}
    text = {"200": {"description": "text", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "slm-orchestration", "version": "1"},
        "paths": {
            "/v1/chat/completions": {"post": {"requestBody": body, "responses": {"200": answered, **ends}}},
            "/v1/models": {"get": {"responses": found}},
            "/v1/models/{model}": {"get": {"parameters": [_MODEL], "responses": {**found, "404": fault}}},
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


# ========== How the gateway says things over HTTP: answers, errors in OpenAI's form, and streams of events.
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
    return json_response(error_body(message, "invalid_request_error", param="model", code="model_not_found"), 404)


def too_large(limit: int) -> Response:
    """Say that a request is too large."""
    return json_response(
        error_body(f"the request is larger than {limit} bytes", "invalid_request_error"), 413, close=True
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
    response = json_response(error_body(error.detail, "invalid_request_error"), error.status_code)
    response.headers.update(error.headers or {})
    return response


async def unexpected(request: Request, error: Exception) -> Response:
    """Answer where the program is wrong; the server logs the traceback."""
    return json_response(error_body("an error of the server, which has logged it", "server_error"), 500)


def digest(key: str) -> bytes:
    """Return what API keys are compared by."""
    return hashlib.sha256(key.encode()).digest()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _told(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the status, the body and the headers that tell a client of `error`."""
    if isinstance(error, Refused):
        return 400, error_body(str(error), "invalid_request_error", param="messages"), {}
    if isinstance(error, Overloaded):
        return 429, error_body(str(error), "rate_limit_error", code="overloaded"), {"retry-after": "1"}
    if isinstance(error, TimeoutError):
        return 504, error_body("the answer took too long", "server_error", code="timeout"), {}
    if isinstance(error, ClientDisconnect):
        return _LEFT, error_body("the client left", "invalid_request_error"), {}
    _LOG.warning("no model answered: %s", error)
    return 503, error_body("no model answered", "server_error", code="model_unavailable"), {}
