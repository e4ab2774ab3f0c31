"""OpenAI's chat API: the schemas of requests, completions and errors, and the OpenAPI document."""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

AUTO = "auto"
MAX_MESSAGES = 1000


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


def chunk_choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """Return the choice of a chunk."""
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def model_card(model: str) -> dict[str, Any]:
    """Return a model as an item of /v1/models."""
    return {"id": model, "object": "model", "created": 0, "owned_by": "slm-orchestration"}


def key_digest(key: str) -> bytes:
    """Return the digest by which API keys are compared."""
    return hashlib.sha256(key.encode()).digest()
