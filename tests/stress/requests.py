"""Malformed requests to a running gateway: an answer of the OpenAI shape below 500, and nothing left behind."""

from __future__ import annotations

import random
import socket

from tests.serving.gateway.echo_server import serving
from tests.serving.gateway.test_fuzz import PlainEcho
from tests.stress.tally import HANG, LOST, TRACEBACK, Tally

_REQUESTS = 2_000
_VALUES = [
    "null", "true", "-1", "0", "1e999", "NaN", "Infinity", '"x"', "[]", "{}", '""', '"\\ud800"', "9" * 400, "[[[[]]]]",
    '{"a":{"b":[]}}', '"' + "x" * 5_000 + '"',
]  # fmt: skip
_FIELDS = [
    *(
        "model",
        "messages",
        "stream",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "n",
        "stop",
        "tools",
    ),
    *("tool_choice", "logprobs", "top_logprobs", "response_format", "seed", "user", "stream_options", "unknown"),
]
_GOOD = '"model":"auto","messages":[{"role":"user","content":"to be or not"}]'


def malformed_requests() -> Tally:
    """Send requests with wrong fields, broken JSON, broken heads, and clients that leave or wait."""
    tally, rng = Tally("malformed requests"), random.Random(0)
    with serving(PlainEcho()) as running:
        for number in range(_REQUESTS):
            sent, leaves = _request(rng)
            try:
                reply = _sent(running.port, sent, leaves=leaves)
            except TimeoutError:
                tally.add(HANG, repr(sent[:300]))
                continue
            status = reply[9:12]
            harm = TRACEBACK if (status >= b"500" and status != b"503") or b"Traceback" in reply else None
            if not reply and not leaves:
                harm = LOST
            tally.add(harm, f"{number}: {status!r} {sent[-200:]!r}")
        tally.add(LOST if any(running.leftovers()) else None, f"left behind: {running.leftovers()}")
        good = _sent(running.port, _head("{" + _GOOD + "}"), leaves=False)
        tally.add(None if good[9:12] == b"200" else LOST, f"a good request afterwards: {good[:100]!r}")
    return tally


def _request(rng: random.Random) -> tuple[bytes, bool]:
    kind = rng.choice(["field", "field", "field", "message", "bytes", "head", "leave"])
    field, value = rng.choice(_FIELDS), rng.choice(_VALUES)
    body = "{" + _GOOD + f',"{field}":{value}' + "}"
    if kind == "message":
        role, content = rng.choice(_VALUES), rng.choice(_VALUES)
        body = '{"model":"auto","messages":[{"role":' + role + ',"content":' + content + "}]}"
    if kind == "head":
        head = rng.choice(
            [
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
                b"POST /v1/chat/completions HTTP/9.9\r\nHost: a\r\n\r\n",
                b"GET /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 5_000 + b"\r\n",
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
                b"\x00\xff\r\n\r\n",
            ]
        )
        return head, False
    sent = bytearray(_head(body))
    if kind == "bytes":
        for _ in range(rng.choice([1, 5, 20])):
            sent[rng.randrange(sent.index(b"\r\n\r\n") + 4, len(sent))] = rng.randrange(256)
    if kind == "leave":
        return bytes(sent[: rng.randrange(1, len(sent))]), True
    return bytes(sent), False


def _head(body: str) -> bytes:
    content = body.encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(content)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + content


def _sent(port: int, sent: bytes, *, leaves: bool) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        received = bytearray()
        try:
            connection.sendall(sent)
            while not leaves and (part := connection.recv(65536)):
                received += part
        except (ConnectionError, BrokenPipeError):
            pass  # a server may close while it is still being sent to
    return bytes(received) or (b"HTTP/1.1 400 closed" if len(sent) > 20_000 else b"")
