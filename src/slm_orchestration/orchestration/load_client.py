"""A light HTTP client for loads, so that the server is what is measured: kept-alive connections, nothing parsed."""

from __future__ import annotations

import asyncio
import json

from slm_orchestration.orchestration.load import ANSWERED, FAILED, REFUSED

_OK = 200


class LoadClient:
    """Sends chats to a gateway on loopback; a connection serves one request at a time and is used again.

    An answer in which `expected` does not occur, such as one that is not from the cache, counts as failed.
    """

    def __init__(self, host: str, port: int, expected: bytes = b"") -> None:
        self._where = host, port
        self._expected = expected
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def chat(self, text: str, max_tokens: int | None = None) -> str:
        """Send one chat and return how it ended."""
        asked = {"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": max_tokens}
        body = json.dumps(asked).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: loopback\r\nContent-Length: {len(body)}\r\n\r\n"
        sent, reused = head.encode() + body, bool(self._idle)
        try:
            status = await self._status(sent)
        except (OSError, asyncio.IncompleteReadError):
            if not reused:
                return FAILED
            # A server may close a connection that was idle just when it is used again; every client tries anew then.
            self.close()
            return await self.chat(text, max_tokens)
        return {_OK: ANSWERED, 429: REFUSED, 503: REFUSED}.get(status, FAILED)

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop()[1].close()

    async def _status(self, sent: bytes) -> int:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._where)
        try:
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
            body = await reader.readexactly(int(length))
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        status = int(head[9:12])
        return status if status != _OK or self._expected in body else 0
