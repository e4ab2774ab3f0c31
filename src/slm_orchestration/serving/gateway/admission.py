"""The first look at a request: chats that waited too long inside the server are refused unread, others go straight in.

Where a server gets more than it can answer, work on a request that it cannot serve is lost to those that it could. So a
refusal reads neither body nor key, and its bytes are made beforehand.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from slm_orchestration.serving.gateway import openai_api as schema
from slm_orchestration.serving.gateway.openai_api import unexpected

CHAT = "/v1/chat/completions"
RECEIVED = "received_s"  # in the scope's state: when the server saw the first byte, as time.perf_counter tells it
_BODY = orjson.dumps(schema.error_body("the server is overloaded", "rate_limit_error", code="overloaded"))
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"retry-after", b"1"),
]


@dataclass
class Door:
    """Leads chats to `chat` and everything else to `rest`; a chat older than `stale_s` is `refused` with a 429.

    Chats go around the routes: finding the way would take longer than finding a cached answer.
    """

    chat: Callable[[Request], Awaitable[Response]]
    rest: ASGIApp
    stale_s: float
    refused: Callable[[], None]

    def __post_init__(self) -> None:
        self._straight = ServerErrorMiddleware(self._answered, unexpected)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != CHAT or scope["method"] != "POST":
            await self.rest(scope, receive, send)
            return
        received_s = scope.get("state", {}).get(RECEIVED)
        if received_s is None or time.perf_counter() - received_s <= self.stale_s:
            await self._straight(scope, receive, send)
            return
        self.refused()
        await send({"type": "http.response.start", "status": 429, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _BODY})

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.chat(Request(scope, receive))
        await response(scope, receive, send)
