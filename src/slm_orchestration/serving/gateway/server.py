"""Serve the gateway with uvicorn: limited connections and request heads, and a drain on SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from slm_orchestration.serving.gateway.app import Gateway
from slm_orchestration.serving.gateway.middleware import RECEIVED_KEY
from slm_orchestration.serving.gateway.openai_api import error_body

HEAD_BYTES = 64 * 1024  # of the request line and all headers
_LAST_WORDS_S = 2  # for responses to be written after the drain
_HEAD_TOO_LARGE = orjson.dumps(error_body(f"the head is larger than {HEAD_BYTES} bytes", "invalid_request_error"))


def server(gateway: Gateway, *, host: str, port: int, connections: int = 2000) -> GatewayServer:
    """Return a server of `gateway`; `run()` serves until SIGTERM or SIGINT, then drains.

    Clients beyond `connections` open connections get a 503.
    """
    config = uvicorn.Config(
        gateway.app(),
        host=host,
        port=port,
        http=type("LimitedHeadProtocol", (LimitedHeadProtocol,), {"head_s": gateway.limits.read_s}),
        log_config=None,
        log_level="error",  # an overloaded server should not log a line per refused client
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=connections,
        timeout_keep_alive=max(1, int(gateway.limits.idle_s)),
        timeout_graceful_shutdown=_LAST_WORDS_S,
    )
    return GatewayServer(config, gateway)


class GatewayServer(uvicorn.Server):
    """A server that says on stderr that it stops, lets requests finish for `drain_s` seconds, and exits on time.

    Requests beyond that get a 503 in OpenAI's schema. A second Ctrl-C stops at once. A stop by signal is a success.
    """

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        running, limit_s = self._gateway.admission.in_flight, self._gateway.limits.drain_s
        again = self.should_exit and sig == signal.SIGINT
        wait = f"; {running} running requests have {limit_s:g} s, Ctrl-C again ends them" if running else ""
        print("stopping now" if again else f"stopping{wait}", file=sys.stderr, flush=True)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        draining = asyncio.ensure_future(self._gateway.stop())
        while not draining.done() and not self.force_exit:
            await asyncio.wait({draining}, timeout=0.05)
        self._gateway.end_requests()
        self.force_exit = False  # what is left takes a moment, and the application is to end properly
        await super().shutdown(sockets)
        self._captured_signals.clear()


def exit_despite_running_calls() -> None:
    """End the process if a thread still waits for a model: a call cannot be killed, and Python would wait for it."""
    until = time.monotonic() + 1.0
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(until - time.monotonic(), 0.0))
            if thread.is_alive():
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(0)


def listeners(listening: socket.socket, count: int = 32) -> list[socket.socket]:
    """Return `count` handles of one listening socket, for `Server.run(sockets=...)`.

    libuv accepts one connection per handle and loop iteration; under load an iteration is long, and with one handle the
    kernel would drop new clients.
    """
    return [listening, *(listening.dup() for _ in range(count - 1))]


class LimitedHeadProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with limits on the time and the size of the head; records when each request began.

    uvicorn itself waits without a limit for the rest of a head, and keeps all of it.
    """

    head_s = 10.0
    _timer: asyncio.TimerHandle | None = None
    _in_head, _head_bytes, _heads = True, 0, 0

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][RECEIVED_KEY] = time.perf_counter()

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes, self._heads = False, 0, self._heads + 1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        super().on_message_complete()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._update_timer()

    def data_received(self, data: bytes) -> None:
        before = self._in_head, self._heads
        super().data_received(data)
        self._update_timer()
        if before == (True, self._heads):  # all of `data` is of one head
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self._refuse_head()

    def connection_lost(self, error: Exception | None) -> None:
        self._cancel_timer()
        super().connection_lost(error)

    def _refuse_head(self) -> None:
        if self._between_requests():
            head = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
            length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(_HEAD_TOO_LARGE)
            self.transport.write(head + length + _HEAD_TOO_LARGE)
        self.transport.close()

    def _update_timer(self) -> None:
        if not self._between_requests():
            self._cancel_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.head_s, self._time_out)

    def _time_out(self) -> None:
        self._timer = None
        if self._between_requests():
            self.transport.close()

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
