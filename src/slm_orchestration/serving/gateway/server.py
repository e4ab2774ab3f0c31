"""Serve the gateway with uvicorn: bounded connections, patience that ends, and a drain on SIGTERM."""

from __future__ import annotations

import asyncio
import socket
import time

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from slm_orchestration.serving.gateway.admission import RECEIVED
from slm_orchestration.serving.gateway.app import Gateway


class Patient(HttpToolsProtocol):
    """uvicorn's protocol, which by itself waits for ever for the rest of a request's head; notes when one begins."""

    head_s = 10.0
    _deadline: asyncio.TimerHandle | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][RECEIVED] = time.perf_counter()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, error: Exception | None) -> None:
        self._forget()
        super().connection_lost(error)

    def _watch(self) -> None:
        if not self._between_requests():
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.head_s, self._give_up)

    def _give_up(self) -> None:
        self._deadline = None
        if self._between_requests():
            self.transport.close()

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def doors(listening: socket.socket, count: int = 32) -> list[socket.socket]:
    """Return `count` handles of one listening socket, for `run()`.

    libuv accepts one connection per handle and turn of its loop; under load a turn is long, and with one handle new
    clients would wait until the kernel drops them.
    """
    return [listening, *(listening.dup() for _ in range(count - 1))]


def server(gateway: Gateway, *, host: str, port: int, connections: int = 2000) -> uvicorn.Server:
    """Return a server of `gateway`; `run()` serves until SIGTERM or SIGINT, then lets the running requests finish.

    Beyond `connections` open ones, clients are answered 503.
    """
    config = uvicorn.Config(
        gateway.app(),
        host=host,
        port=port,
        http=type("Patient", (Patient,), {"head_s": gateway.bounds.read_s}),
        log_config=None,
        log_level="error",  # a line for each client beyond the limit would be work for the overloaded
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=connections,
        timeout_keep_alive=max(1, int(gateway.bounds.idle_s)),
        timeout_graceful_shutdown=max(1, int(gateway.bounds.drain_s)),
    )
    return uvicorn.Server(config)
