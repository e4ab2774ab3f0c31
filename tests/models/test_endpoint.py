"""A real server on loopback that misbehaves as it is told to."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from slm_orchestration.models.endpoint import EndpointModel
from slm_orchestration.models.model import CallError
from slm_orchestration.outcomes.collect import CollectionSettings, collect
from slm_orchestration.outcomes.store import read_outcomes
from tests.models.local.test_model import TASKS
from tests.outcomes.test_collect import exact, make_task

KEY = "a-secret-of-the-test"
CHOICE, FREE = make_task(0), TASKS[1]


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
        if isinstance(fault, int):
            self.send_response(fault)
            self.send_header("retry-after", "0.05")
            body = f"no, not with {KEY}".encode()
        else:
            self.send_response(200)
        body = b'{"choices": [' if fault == "malformed" else body
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.lock, server.faults, server.seen, server.takes_s = threading.Lock(), [], [], 0.0
    server.running = server.most = 0
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def model_at(server, **settings) -> EndpointModel:
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    return EndpointModel("remote", url, "any", **{"timeout_s": 0.3, "backoff_s": 0.01, **settings})


def test_a_choice_is_the_likeliest_label_and_a_free_answer_is_the_text_with_its_signals(server):
    choice, free = model_at(server).complete([CHOICE, FREE], seed=0)
    assert choice.answer == "B"
    assert choice.signals == pytest.approx({"label:A": 0.22313, "label:B": 0.60653, "label_mass": 0.82966}, abs=1e-4)
    assert (free.answer, free.prompt_tokens, free.completion_tokens) == ("Echo: Say hello in French.", 7, 2)
    assert free.signals["logprob_sum"] == -1.5
    assert server.seen[0][2]["temperature"] == 0


@pytest.mark.parametrize("fault", [429, 500, "stall", "cut", "malformed"])
def test_a_passing_fault_is_tried_again(server, fault):
    server.faults = [fault, fault]
    assert model_at(server).complete([FREE], seed=0)[0].answer.startswith("Echo")
    assert len(server.seen) == 3


def test_a_fault_that_stays_fails_that_task_alone_and_names_server_and_reason(server):
    server.faults = [500] * 2
    with pytest.raises(CallError, match=r"logic/made/1: http://127.* gave no answer in 2 attempts \(last: status 500"):
        model_at(server, attempts=2).complete([FREE], seed=0)


def test_a_refusal_is_not_tried_again_and_the_key_is_sent_but_never_shown(server, monkeypatch):
    monkeypatch.setenv("KEY_OF_THE_TEST", KEY)
    server.faults = [401]
    model = model_at(server, key_variable="KEY_OF_THE_TEST")
    with pytest.raises(CallError, match="status 401") as failed:
        model.complete([FREE], seed=0)
    assert [seen[1] for seen in server.seen] == [f"Bearer {KEY}"]
    assert KEY not in f"{failed.value}{model}{model.identity()}"
    monkeypatch.delenv("KEY_OF_THE_TEST")
    with pytest.raises(CallError, match="KEY_OF_THE_TEST holds no key"):
        model.complete([FREE], seed=0)


def test_calls_run_together_up_to_the_bound(server):
    server.takes_s = 0.05
    model_at(server, concurrency=3).complete([make_task(number) for number in range(9)], seed=0)
    assert server.most == 3


def test_calls_keep_to_the_rate(server):
    model_at(server, requests_per_minute=1200).complete([make_task(number) for number in range(5)], seed=0)
    moments = sorted(seen[0] for seen in server.seen)
    assert moments[-1] - moments[0] >= 4 * 0.05 - 0.03


def test_collect_records_what_the_server_says(server, tmp_path):
    tasks = [make_task(number) for number in range(6)]
    server.faults = [429, "cut", "malformed"]
    settings = CollectionSettings(token_budget=100, attempts=2, seed=0)
    collect(model_at(server), tasks, tmp_path, grade=exact, settings=settings)
    outcomes = read_outcomes(tmp_path, ["remote"])
    assert outcomes["answer"].tolist() == ["B"] * 6
    assert outcomes["error"].isna().all()
