"""Serve the gateway with uvicorn: limited connections, a timeout for request heads, and a drain on SIGTERM."""

from __future__ import annotations

import asyncio
import socket
import time

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from slm_orchestration.serving.gateway.app import Gateway
from slm_orchestration.serving.gateway.middleware import RECEIVED_KEY


def server(gateway: Gateway, *, host: str, port: int, connections: int = 2000) -> uvicorn.Server:
    """Return a server of `gateway`; `run()` serves until SIGTERM or SIGINT, then finishes the running requests.

    Clients beyond `connections` open connections get a 503.
    """
    config = uvicorn.Config(
        gateway.app(),
        host=host,
        port=port,
        http=type("HeadTimeoutProtocol", (HeadTimeoutProtocol,), {"head_s": gateway.limits.read_s}),
        log_config=None,
        log_level="error",  # an overloaded server should not log a line per refused client
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=connections,
        timeout_keep_alive=max(1, int(gateway.limits.idle_s)),
        timeout_graceful_shutdown=max(1, int(gateway.limits.drain_s)),
    )
    return uvicorn.Server(config)


def listeners(listening: socket.socket, count: int = 32) -> list[socket.socket]:
    """Return `count` handles of one listening socket, for `Server.run(sockets=...)`.

    libuv accepts one connection per handle and loop iteration; under load an iteration is long, and with one handle the
    kernel would drop new clients.
    """
    return [listening, *(listening.dup() for _ in range(count - 1))]


class HeadTimeoutProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a timeout for the head of a request; records when each request began.

    uvicorn itself waits without a limit for the rest of a head.
    """

    head_s = 10.0
    _timer: asyncio.TimerHandle | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][RECEIVED_KEY] = time.perf_counter()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._update_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._update_timer()

    def connection_lost(self, error: Exception | None) -> None:
        self._cancel_timer()
        super().connection_lost(error)

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
