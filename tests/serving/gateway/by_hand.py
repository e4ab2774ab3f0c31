"""Requests to a running gateway, as a client without a library sends them."""

import json
import time

import httpx2 as httpx

USER = [{"role": "user", "content": "to be or not"}]


def post(running, content, **extra):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {"content-type": "application/json"} | extra.pop("headers", {})
    return httpx.post(f"{running.url}/v1/chat/completions", content=body, headers=headers, timeout=10, **extra)


def chat(text, **extra):
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **extra}


def until(condition):
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def raw_post(content):
    """Return the bytes of a request, for clients that stop in the middle of it."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
