"""ASGI middleware that answers chat requests directly and sheds those that waited too long inside the server.

An overloaded server should spend no work on requests that it cannot serve in time. A shed request gets a prepared 429;
neither its body nor its key is read.
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

from slm_orchestration.serving.gateway.openai_api import error_body
from slm_orchestration.serving.gateway.responses import internal_error

CHAT_PATH = "/v1/chat/completions"
RECEIVED_KEY = "received_s"  # key in the scope's state: time.perf_counter() at the first byte
_BODY = orjson.dumps(error_body("the server is overloaded", "rate_limit_error", code="overloaded"))
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"retry-after", b"1"),
]


@dataclass
class ChatMiddleware:
    """Sends chat requests to `chat` and all others to `app`; a chat older than `stale_s` seconds gets a 429.

    Chats bypass the routes, because routing would take longer than a cache hit. `on_shed` is called for each 429.
    """

    chat: Callable[[Request], Awaitable[Response]]
    app: ASGIApp
    stale_s: float
    on_shed: Callable[[], None]

    def __post_init__(self) -> None:
        self._chat_app = ServerErrorMiddleware(self._respond, internal_error)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != CHAT_PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        received_s = scope.get("state", {}).get(RECEIVED_KEY)
        if received_s is None or time.perf_counter() - received_s <= self.stale_s:
            await self._chat_app(scope, receive, send)
            return
        self.on_shed()
        await send({"type": "http.response.start", "status": 429, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _BODY})

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.chat(Request(scope, receive))
        await response(scope, receive, send)
