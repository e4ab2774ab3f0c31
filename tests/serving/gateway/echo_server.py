"""A gateway on loopback over a backend without a model, for tests that talk to it as clients do."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager

from slm_orchestration.models.model import CallError
from slm_orchestration.serving.gateway.app import Bounds, Gateway
from slm_orchestration.serving.gateway.openai_api import Refused, Reply
from slm_orchestration.serving.gateway.server import doors, server
from slm_orchestration.serving.resilience import Admission


class Echo:
    """Answers with the last message's words, one piece each; some last messages make it fail, stall or refuse."""

    models = ("small", "large")

    def __init__(self):
        self.asked = []
        self.closed = False

    def at_hand(self, chat):
        text = chat.messages[-1]["content"]
        return Reply(text, "small", 0, 0, "stop", 0.0, (), "exact") if text == "known" else None

    async def answer(self, chat):
        self.asked.append(chat)
        text = chat.messages[-1]["content"]
        if text == "fail":
            raise CallError("small said: fail")
        if text == "refuse":
            raise Refused("the prompt has 9 tokens, the context 8")
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
    """A running gateway: where it is, and what it holds."""

    def __init__(self, gateway, server, port):
        self.gateway, self.server, self.port, self.url = gateway, server, port, f"http://127.0.0.1:{port}"

    def held(self):
        """Wait for the server to have no client, and return what it holds: requests, tasks, connections."""
        state = self.server.server_state
        until = time.monotonic() + 10
        while (state.tasks or state.connections or self.gateway.admission.in_flight) and time.monotonic() < until:
            time.sleep(0.01)
        return self.gateway.admission.in_flight, len(state.tasks), len(state.connections)

    def in_flight(self):
        """Wait a moment for the gateway to be empty, and return how many requests it still holds."""
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
def serving(backend=None, *, running=4, waiting=4, bounds=None, api_key=None):
    """Serve until the block ends; then the server has stopped, and nothing of it is left."""
    bounds = bounds or Bounds(read_s=0.5, answer_s=5, idle_s=1, drain_s=2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        gateway = Gateway(backend or Echo(), Admission(running, waiting), bounds, api_key)
        running_server = server(gateway, host="127.0.0.1", port=port)
        thread = threading.Thread(target=running_server.run, args=(doors(listening),))
        thread.start()
        while not running_server.started:
            time.sleep(0.01)
        try:
            yield Serving(gateway, running_server, port)
        finally:
            running_server.should_exit = True
            thread.join()
