"""Without an API key only this machine is served: requests that name another host or come from another site are
refused.

A page of another site can make a browser on this machine send requests here, under its own name (DNS rebinding) or with
its own origin. Neither is a loopback name.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from slm_orchestration.serving.gateway.openai_api import error_body
from slm_orchestration.serving.gateway.responses import json_response

_MESSAGE = (
    "this server has no API key and serves its own machine only: {name} is {value!r}; use http://127.0.0.1, or set "
    "SLM_ORCHESTRATION_API_KEY where the server starts"
)


@dataclass
class LoopbackOnly:
    """Sends requests to `app` whose Host, and Origin if there is one, is a loopback name; a 403 to others."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            for name, url in ((b"host", b"//" + headers.get(b"host", b"")), (b"origin", headers.get(b"origin"))):
                if url is not None and not _names_loopback(url):
                    value = headers.get(name, b"").decode("latin-1")[:100]
                    body = error_body(_MESSAGE.format(name=name.decode().title(), value=value), "invalid_request_error")
                    await json_response(body, 403, close=True)(scope, receive, send)
                    return
        await self.app(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _names_loopback(url: bytes) -> bool:
    try:
        return is_loopback(urlsplit(url.decode("latin-1")).hostname or "")
    except ValueError:
        return False
