"""A real server on loopback that misbehaves as it is told to."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from slm_orchestration.models.endpoint import EndpointModel

KEY = "a-secret-of-the-test"


def model_at(server, **settings) -> EndpointModel:
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    return EndpointModel("remote", url, "any", **{"timeout_s": 0.3, "backoff_s": 0.01, **settings})


def answer(content, *, usage=None, **choice):
    """Return a reply of status 200 with this content."""
    choices = [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop", **choice}]
    usage = {"prompt_tokens": 7, "completion_tokens": 2} if usage is None else usage
    return 200, json.dumps({"choices": choices, "usage": usage}).encode()


def reply(asked: dict) -> dict:
    top = [{"token": " B", "logprob": -0.5}, {"token": "A", "logprob": -1.5}, {"token": "x", "logprob": -9.0}]
    content = [
        {"token": "B", "logprob": -0.5, "top_logprobs": top},
        {"token": ".", "logprob": -1, "top_logprobs": []},
    ]
    message = {"role": "assistant", "content": f"Echo: {asked['messages'][-1]['content']}"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": {"content": content}}]
    return {"choices": choices, "usage": {"prompt_tokens": 7, "completion_tokens": 2}}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            server.running += 1
            server.most = max(server.most, server.running)
            fault = server.faults.pop(0) if server.faults else None
            server.seen.append((time.monotonic(), self.headers.get("authorization"), asked))
        time.sleep(0.6 if fault == "stall" else server.takes_s)
        # counted down before the answer leaves: whoever has read it may send the next call at once
        with server.lock:
            server.running -= 1
        self.misbehave(fault, json.dumps(reply(asked)).encode())

    def misbehave(self, fault, body):
        if isinstance(fault, tuple):
            status, body = fault
            self.send_response(status)
        elif isinstance(fault, int):
            self.send_response(fault)
            self.send_header("retry-after", "0.05")
            body = f"no, not with {KEY}".encode()
        else:
            self.send_response(200)
            if fault == "gzip":
                self.send_header("content-encoding", "gzip")
        body = b'{"choices": [' if fault == "malformed" else body
        self.send_header("content-length", str(len(body) + (20 if fault == "drip" else 0)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(20 if fault == "drip" else 0):  # each byte in time, the whole too late
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
            self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
        self.close_connection = True

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = (
        256  # connections that wait to be accepted; of more than that, some would be made a second later
    )


@contextlib.contextmanager
def playing() -> Iterator[ThreadingHTTPServer]:
    server = Server(("127.0.0.1", 0), Handler)
    server.lock, server.faults, server.seen, server.takes_s = threading.Lock(), [], [], 0.0
    server.running = server.most = 0
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
