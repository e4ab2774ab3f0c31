"""The middleware that sheds chats that waited too long inside the server."""

import asyncio
import json
import time

from starlette.responses import PlainTextResponse

from slm_orchestration.serving.gateway.middleware import CHAT_PATH, RECEIVED_KEY, ChatMiddleware


def test_a_chat_that_waited_too_long_gets_a_429_and_its_body_is_not_read():
    sent, shed = [], []

    async def ask(waited_s):
        async def entered(request):
            return PlainTextResponse("entered")

        async def rest(scope, receive, send):
            raise AssertionError("a chat must not reach the other routes")

        async def send(message):
            sent.append(message.get("status", message.get("body")))

        state = {RECEIVED_KEY: time.perf_counter() - waited_s}
        middleware = ChatMiddleware(entered, rest, 0.5, lambda: shed.append(waited_s))
        # There is no `receive`, so reading the body would fail.
        await middleware({"type": "http", "method": "POST", "path": CHAT_PATH, "state": state}, None, send)

    asyncio.run(ask(0.0))
    assert (sent, shed) == ([200, b"entered"], [])
    asyncio.run(ask(0.6))
    assert (sent[2], shed) == (429, [0.6])
    assert json.loads(sent[3])["error"]["code"] == "overloaded"
