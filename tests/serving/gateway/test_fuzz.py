"""Fuzzing: thousands of invalid requests made from the gateway's own OpenAPI never give a 500 or leak anything."""

import gc
import json
import random
import socket
import subprocess
import sys
import time

import pytest

from slm_orchestration.serving.gateway.openai_api import openapi_document
from tests.serving.gateway.by_hand import raw_post
from tests.serving.gateway.echo_server import Echo, serving

EXAMPLES = 5
GOOD = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "to be or not"}], "stream": True}).encode()


class PlainEcho(Echo):
    """Echo without the words that make it fail, which a fuzzer may find."""

    async def answer(self, chat):
        return await super().answer(type(chat)([{"role": "user", "content": "calm"}], chat.model, chat.max_tokens))


@pytest.fixture(scope="module")
def running():
    with serving(PlainEcho()) as one:
        yield one


def test_schemathesis_finds_no_server_error_and_no_answer_outside_the_document(running, tmp_path):
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(openapi_document()))
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", running.url, "--seed", "1"]
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    done = subprocess.run(
        [*command, "--checks", checks, "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert running.in_flight() == 0


def test_broken_requests_and_broken_connections_leave_nothing_behind(running):
    rng = random.Random(0)
    _abuse(running, rng, 100)
    assert running.leftovers() == (0, 0, 0)
    before = _objects(running)
    _abuse(running, rng, 300)
    assert running.leftovers() == (0, 0, 0)
    assert _objects(running) - before < 150  # half an object a request: the clients' own noise
    counts = running.gateway.admission
    assert counts.accepted == counts.answered + counts.failed + counts.abandoned


def _objects(running):
    time.sleep(1.2)  # the timers of connections that were idle or reset have run out
    running.gateway.backend.asked.clear()
    gc.collect()
    return len(gc.get_objects())


def _abuse(running, rng, requests):
    """Send requests with flipped bytes, cut short, or both, and leave at a random moment."""
    for _ in range(requests):
        body = bytearray(GOOD)
        for _ in range(rng.choice([0, 0, 1, 5])):
            body[rng.randrange(len(body))] = rng.randrange(256)
        whole = raw_post(bytes(body))
        sent = whole[: rng.choice([len(whole), len(whole), rng.randrange(len(whole))])]
        with socket.create_connection(("127.0.0.1", running.port), timeout=5) as connection:
            connection.sendall(sent)
            if sent == whole and rng.random() < 0.7:
                status = connection.recv(12)
                assert status[9:] in (b"200", b"400", b"404"), bytes(body)  # flipped bytes may name a model
