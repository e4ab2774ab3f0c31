"""The server: clients that stall, bytes that are not HTTP, its limits and its end."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx2 as httpx
import pytest

from slm_orchestration.serving.gateway.app import Gateway, RequestLimits
from slm_orchestration.serving.gateway.middleware import RECEIVED_KEY
from slm_orchestration.serving.gateway.server import HEAD_BYTES, listeners, server
from slm_orchestration.serving.resilience import Admission
from tests.serving.gateway.by_hand import chat, post, raw_post, until
from tests.serving.gateway.echo_server import Echo, serving


def test_a_client_that_does_not_finish_its_request_is_disconnected(running):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert running.raw(head) == b""  # the head never ends
    assert running.raw(head + b"Content-Length: 100\r\n\r\n{").startswith(b"HTTP/1.1 408")
    assert running.raw(b"") == b""


def test_bytes_that_are_not_http_are_refused(running):
    assert running.raw(b"\x16\x03\x01\x02\x00 hello\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_a_stopping_server_finishes_running_requests_and_closes_its_backend():
    backend = Echo()
    with serving(backend) as one:
        connection = socket.create_connection(("127.0.0.1", one.port))
        sent = raw_post(chat("slowly but surely", stream=True))
        connection.sendall(sent)
        until(lambda: one.gateway.admission.in_flight == 1)
    received = b""
    while part := connection.recv(65536):
        received += part
    connection.close()
    assert b"data: [DONE]" in received
    assert backend.closed
    assert (one.gateway.admission.answered, one.gateway.admission.in_flight) == (1, 0)


def test_a_stopping_server_ends_what_takes_too_long_with_a_503_and_exits_on_time():
    backend = Echo()
    with serving(backend, limits=RequestLimits(drain_s=0.2)) as one, ThreadPoolExecutor() as threads:
        whole = threads.submit(post, one, chat("stall"))
        stream = threads.submit(post, one, chat("slowly " * 1000, stream=True))
        until(lambda: one.gateway.admission.in_flight == 2)
        started = time.monotonic()
        one.server.should_exit = True
        until(lambda: one.gateway.admission.closing)
        late = post(one, chat("hello"))
        answered, streamed = whole.result(10), stream.result(10)
        one.thread.join(10)
        assert time.monotonic() - started < 3
    for response in (answered, late):
        assert (response.status_code, response.json()["error"]["code"]) == (503, "server_stopping")
    assert '"server_stopping"' in streamed.text.strip().splitlines()[-1]
    assert backend.closed


@pytest.mark.parametrize("piece", [b"x-padding: " + b"a" * 1000 + b"\r\n", b"a" * 1000])
def test_a_head_without_end_is_refused_at_its_limit(running, piece):
    start = b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + (b"x-long: " if b"\r" not in piece else b"")
    sent = 0
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as connection:
        received = b""
        with contextlib.suppress(OSError):
            connection.sendall(start)
            while sent < 50_000_000:
                connection.sendall(piece * 50)
                sent += len(piece) * 50
        with contextlib.suppress(OSError):
            received = connection.recv(65536)
    assert sent < 20_000_000  # what the kernel holds, and not all
    assert received == b"" or received.startswith(b"HTTP/1.1 431")


def test_a_head_just_above_the_limit_gets_a_431_in_openais_schema(running):
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nx-long: " + b"a" * HEAD_BYTES
    head_text, _, body = running.raw(head).partition(b"\r\n\r\n")
    assert head_text.startswith(b"HTTP/1.1 431")
    assert json.loads(body)["error"]["message"] == f"the head is larger than {HEAD_BYTES} bytes"


def test_a_large_body_and_many_requests_on_one_connection_are_no_large_head(running):
    with httpx.Client(base_url=running.url) as client:
        for _ in range(5):
            long = chat("word " * 30_000)
            assert client.post("/v1/chat/completions", json=long).status_code == 200
            assert client.get("/health", headers={"x-long": "a" * 20_000}).status_code == 200


def test_handles_of_one_socket_accept_its_clients():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        handles = listeners(listening, 3)
        assert handles[0] is listening and len({handle.fileno() for handle in handles}) == 3
        assert {handle.getsockname() for handle in handles} == {listening.getsockname()}
        with (
            contextlib.closing(socket.create_connection(listening.getsockname())),
            contextlib.closing(handles[2].accept()[0]),
        ):
            pass
        for handle in handles[1:]:
            handle.close()


def test_the_limits_of_the_gateway_are_those_of_its_server():
    limits = RequestLimits(read_s=0.25, idle_s=0.1, drain_s=7.0)
    config = server(Gateway(Echo(), Admission(1, 0), limits), host="127.0.0.1", port=0, connections=9).config
    assert config.limit_concurrency == 9
    assert config.timeout_keep_alive == 1  # whole seconds, at least one
    assert config.http.head_s == 0.25


def test_each_request_of_a_connection_is_timed_from_its_own_first_byte(running, monkeypatch):
    seen = []
    app = running.server.config.loaded_app

    async def recorded(scope, receive, send):
        seen.append(scope["state"][RECEIVED_KEY])
        await app(scope, receive, send)

    monkeypatch.setattr(running.server.config, "loaded_app", recorded)
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n"
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


_SLOW_SERVER = """
import asyncio, socket, time
from concurrent.futures import ThreadPoolExecutor
from slm_orchestration.serving.gateway.app import Gateway, RequestLimits
from slm_orchestration.serving.gateway.server import exit_despite_running_calls, listeners, server
from slm_orchestration.serving.resilience import Admission
from tests.serving.gateway.echo_server import Echo

THREADS = ThreadPoolExecutor(4)

class Slow(Echo):
    async def answer(self, chat):
        if chat.messages[-1]["content"] == "long":
            await asyncio.get_running_loop().run_in_executor(THREADS, time.sleep, 25)  # a call that cannot be ended
        return await super().answer(chat)

with socket.create_server(("127.0.0.1", 0)) as listening:
    gateway = Gateway(Slow(), Admission(4, 4), RequestLimits(drain_s=DRAIN))
    print(listening.getsockname()[1], flush=True)
    server(gateway, host="127.0.0.1", port=0).run(listeners(listening))
exit_despite_running_calls()
"""


@pytest.mark.parametrize(
    ("drain_s", "signals", "said"),
    [
        (0.5, [signal.SIGINT], "stopping; 3 running requests have 0.5 s, Ctrl-C again ends them"),
        (0.5, [signal.SIGTERM], "stopping; 3 running requests have 0.5 s"),
        (30, [signal.SIGINT, signal.SIGINT], "stopping now"),
    ],
)
def test_a_process_says_that_it_stops_and_ends_on_time_whatever_is_running(drain_s, signals, said):
    program = _SLOW_SERVER.replace("DRAIN", str(drain_s))
    command = [sys.executable, "-c", program]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        ThreadPoolExecutor() as threads,
    ):
        one = SimpleNamespace(url=f"http://127.0.0.1:{int(process.stdout.readline())}")
        until(lambda: _answers(one))
        waiting = [threads.submit(post, one, chat("long")) for _ in range(3)]
        until(lambda: "in_flight 3.0" in httpx.get(f"{one.url}/metrics").text)
        started = time.monotonic()
        for sent in signals:
            process.send_signal(sent)
            time.sleep(0.2)
        assert process.wait(10) == 0
        assert time.monotonic() - started < 6
        errors = process.stderr.read()
        assert [one.result(1).json()["error"]["code"] for one in waiting] == ["server_stopping"] * 3
    assert said in errors and "Traceback" not in errors


def _answers(one):
    try:
        return post(one, chat("hello")).status_code == 200
    except httpx.HTTPError:
        return False
