"""The server: clients that stall, bytes that are not HTTP, its limits and its end."""

import json
import socket
from contextlib import closing

from slm_orchestration.serving.gateway.app import Gateway, RequestLimits
from slm_orchestration.serving.gateway.middleware import RECEIVED_KEY
from slm_orchestration.serving.gateway.server import listeners, server
from slm_orchestration.serving.resilience import Admission
from tests.serving.gateway.by_hand import chat, post, until
from tests.serving.gateway.echo_server import Echo, serving


def test_a_client_that_does_not_finish_its_request_is_disconnected(running):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
    assert running.raw(head) == b""  # the head never ends
    assert running.raw(head + b"Content-Length: 100\r\n\r\n{").startswith(b"HTTP/1.1 408")
    assert running.raw(b"") == b""


def test_bytes_that_are_not_http_are_refused(running):
    assert running.raw(b"\x16\x03\x01\x02\x00 hello\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_a_stopping_server_finishes_running_requests_and_closes_its_backend():
    backend = Echo()
    with serving(backend) as one:
        connection = socket.create_connection(("127.0.0.1", one.port))
        body = json.dumps(chat("slowly but surely", stream=True)).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        until(lambda: one.gateway.admission.in_flight == 1)
    received = b""
    while part := connection.recv(65536):
        received += part
    connection.close()
    assert b"data: [DONE]" in received
    assert backend.closed
    assert (one.gateway.admission.answered, one.gateway.admission.in_flight) == (1, 0)


def test_handles_of_one_socket_accept_its_clients():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        handles = listeners(listening, 3)
        assert handles[0] is listening and len({handle.fileno() for handle in handles}) == 3
        assert {handle.getsockname() for handle in handles} == {listening.getsockname()}
        with closing(socket.create_connection(listening.getsockname())), closing(handles[2].accept()[0]):
            pass
        for handle in handles[1:]:
            handle.close()


def test_the_limits_of_the_gateway_are_those_of_its_server():
    limits = RequestLimits(read_s=0.25, idle_s=0.1, drain_s=7.0)
    config = server(Gateway(Echo(), Admission(1, 0), limits), host="127.0.0.1", port=0, connections=9).config
    assert (config.limit_concurrency, config.timeout_graceful_shutdown) == (9, 7)
    assert config.timeout_keep_alive == 1  # whole seconds, at least one
    assert config.http.head_s == 0.25


def test_each_request_of_a_connection_is_timed_from_its_own_first_byte(running, monkeypatch):
    seen = []
    app = running.server.config.loaded_app

    async def recorded(scope, receive, send):
        seen.append(scope["state"][RECEIVED_KEY])
        await app(scope, receive, send)

    monkeypatch.setattr(running.server.config, "loaded_app", recorded)
    request = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as connection:
        for _ in range(2):
            connection.sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert len(seen) == 2 and seen[0] < seen[1]


def test_beyond_its_connections_a_server_refuses_clients():
    with serving() as one:
        one.server.config.limit_concurrency = 1
        with socket.create_connection(("127.0.0.1", one.port)):
            until(lambda: len(one.server.server_state.connections) == 1)
            assert post(one, chat("hello")).status_code == 503
