"""A gateway on loopback over a backend without a model, for tests that talk to it as clients do."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager

from slm_orchestration.models.model import CallError
from slm_orchestration.serving.gateway.app import Gateway, RequestLimits
from slm_orchestration.serving.gateway.openai_api import Reply
from slm_orchestration.serving.gateway.responses import InvalidRequest
from slm_orchestration.serving.gateway.server import listeners, server
from slm_orchestration.serving.resilience import Admission


class Echo:
    """Streams the words of the last message; some last messages make it fail, stall or refuse."""

    models = ("small", "large")
    cache_failures = 0

    def __init__(self):
        self.asked = []
        self.closed = False

    def cached_reply(self, chat):
        text = chat.messages[-1]["content"]
        return Reply(text, "small", 0, 0, "stop", 0.0, (), "exact") if text == "known" else None

    async def answer(self, chat):
        self.asked.append(chat)
        text = chat.messages[-1]["content"]
        if text == "fail":
            raise CallError("small said: fail")
        if text == "refuse":
            raise InvalidRequest("the prompt has 9 tokens, the context 8", code="context_length_exceeded")
        if text == "bug":
            raise KeyError("secret prompt")
        if text == "stall":
            await asyncio.sleep(60)
        model = chat.model or "small"
        return Reply(text, model, len(chat.messages), len(text.split()), "stop", 2e-6, (model,))

    async def stream(self, chat):
        reply = await self.answer(chat)
        for word in reply.text.split():
            yield word + " "
            if word == "break":
                raise CallError("small died")
            await asyncio.sleep(0.05 if "slowly" in reply.text else 0)
        yield reply

    async def close(self):
        self.closed = True


class Serving:
    """A running gateway."""

    def __init__(self, gateway, server, port, thread):
        self.gateway, self.server, self.port, self.url = gateway, server, port, f"http://127.0.0.1:{port}"
        self.thread = thread

    def leftovers(self):
        """Wait up to 10 s for the server to be idle, and return its open requests, tasks and connections."""
        state = self.server.server_state
        until = time.monotonic() + 10
        while (state.tasks or state.connections or self.gateway.admission.in_flight) and time.monotonic() < until:
            time.sleep(0.01)
        return self.gateway.admission.in_flight, len(state.tasks), len(state.connections)

    def in_flight(self):
        """Wait up to 5 s for the gateway to be idle, and return how many requests are in flight."""
        until = time.monotonic() + 5
        while self.gateway.admission.in_flight and time.monotonic() < until:
            time.sleep(0.01)
        return self.gateway.admission.in_flight

    def raw(self, sent, *, timeout=5.0):
        """Send bytes, and return everything that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(sent)
            received = bytearray()
            while part := connection.recv(65536):
                received += part
        return bytes(received)


@contextmanager
def serving(backend=None, *, running=4, waiting=4, limits=None, api_key=None):
    """Serve until the block ends, then stop the server."""
    limits = limits or RequestLimits(read_s=0.5, answer_s=5, idle_s=1, drain_s=2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        gateway = Gateway(backend or Echo(), Admission(running, waiting), limits, api_key)
        running_server = server(gateway, host="127.0.0.1", port=port)
        thread = threading.Thread(target=running_server.run, args=(listeners(listening),))
        thread.start()
        while not running_server.started:
            time.sleep(0.01)
        try:
            yield Serving(gateway, running_server, port, thread)
        finally:
            running_server.should_exit = True
            thread.join()
