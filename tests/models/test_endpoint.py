"""A real server on loopback that misbehaves as it is told to."""

import contextlib
import json
import os
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from slm_orchestration.models.endpoint import EndpointModel
from slm_orchestration.models.model import CallError, ContextExceeded
from slm_orchestration.outcomes.collect import CollectionSettings, collect
from slm_orchestration.outcomes.store import read_outcomes
from tests.models.local.test_model import TASKS
from tests.outcomes.test_collect import exact, make_task
from tests.serving.by_hand import SMALL, orchestrator, scripted, write_records
from tests.serving.gateway.echo_server import serving

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
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("SLM_ORCHESTRATION_CACHE", str(tmp_path / "cache"))
    write_records(tmp_path)
    return tmp_path


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


def answer(content, *, usage=None, **choice):
    """Return a reply of status 200 with this content."""
    choices = [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop", **choice}]
    usage = {"prompt_tokens": 7, "completion_tokens": 2} if usage is None else usage
    return 200, json.dumps({"choices": choices, "usage": usage}).encode()


@pytest.mark.parametrize(
    "choice",
    [
        {"finish_reason": "length"},
        {"message": {"content": None, "refusal": "I cannot."}},
        {"message": {"content": None, "tool_calls": [{"id": "1"}]}, "finish_reason": "tool_calls"},
    ],
    ids=str,
)
def test_an_answer_without_text_is_an_empty_answer_asked_once(server, choice):
    server.faults = [answer(None, **choice)]
    (empty,) = model_at(server).complete([FREE], seed=0)
    assert (empty.answer, len(server.seen)) == ("", 1)
    assert empty.finish_reason == choice.get("finish_reason", "stop")


@pytest.mark.parametrize(
    ("body", "said", "calls"),
    [
        ({"error": {"message": "no such model", "code": 404}}, "404: no such model", 1),
        ({"error": {"message": "overloaded", "code": 429}}, "429: overloaded", 2),
        ({"error": "out of memory"}, "out of memory", 2),
        ({"object": "error", "message": "bad prompt"}, "bad prompt", 2),
        ({"choices": []}, "the first of choices is NoneType", 2),
        ({"choices": [{"message": {"content": "a"}}]}, "the reply has no usage", 1),
        ([], "the reply is list", 2),
    ],
    ids=str,
)
def test_a_200_that_is_no_answer_shows_what_the_server_says(server, body, said, calls):
    server.faults = [(200, json.dumps(body).encode())] * 2
    with pytest.raises(CallError, match=said):
        model_at(server, attempts=2).complete([FREE], seed=0)
    assert len(server.seen) == calls


GOOD = {"prompt_tokens": 7, "completion_tokens": 2}


@pytest.mark.parametrize(
    "fault",
    [
        answer("a", logprobs=[1]),
        answer("a", logprobs={"content": [1]}),
        answer("a", logprobs={"content": 7}),
        answer("a", logprobs={"content": [{"token": "a", "logprob": float("nan")}]}),
        answer("a", logprobs={"content": [{"token": "a", "logprob": "high"}]}),
        answer("a", logprobs={"content": [{"token": "a"}]}),
        answer("a", usage=GOOD | {"completion_tokens": float("inf")}),
        answer("a", usage=GOOD | {"completion_tokens": -1}),
        answer("a", usage=GOOD | {"prompt_tokens": 10**30}),
        answer("a", usage=GOOD | {"prompt_tokens": "7"}),
        answer("\ud800"),
        answer(["a"]),
        (200, b"[" * 100_000),
        (200, b"\xff\xfe"),
        "gzip",
    ],
    ids=lambda fault: str(fault)[-60:],
)
def test_a_reply_of_the_wrong_form_is_tried_again_and_then_fails_that_call_alone(server, fault):
    server.faults = [fault]
    assert model_at(server).complete([FREE], seed=0)[0].answer.startswith("Echo")
    server.faults = [fault] * 2
    with pytest.raises(CallError, match="gave no answer in 2 attempts"):
        model_at(server, attempts=2).complete([FREE], seed=0)


@pytest.mark.parametrize("fault", [answer("\ud800"), answer("a", logprobs=[1]), "gzip", "unreachable", "no key"])
def test_an_endpoint_that_fails_in_any_way_falls_back_to_another_model(server, records, monkeypatch, fault):
    monkeypatch.delenv("KEY_OF_THE_TEST", raising=False)
    server.faults = [fault] * 9 if fault not in ("unreachable", "no key") else []
    model = model_at(server, attempts=1, key_variable="KEY_OF_THE_TEST" if fault == "no key" else None)
    if fault == "unreachable":
        model.url = "http://127.0.0.1:9/v1"
    model.name = SMALL
    models = {SMALL: model} | {name: one for name, one in scripted().items() if name != SMALL}
    with orchestrator(records, models, {"routing_threshold": 1}) as running:
        result = running.process_task("Is 7 even?")
    assert result.output == f"answer of {result.model}" and result.model != SMALL
    assert SMALL in result.decision.failed_calls[0]


@pytest.mark.parametrize("tokens", [[{"token": "B", "logprob": -0.5}], [{"token": "B"}], []])
def test_log_probabilities_without_alternatives_leave_the_text_to_decide_after_one_call(server, tokens):
    server.faults = [answer("B.", logprobs={"content": tokens})]
    (choice,) = model_at(server).complete([CHOICE], seed=0)
    assert (choice.answer, choice.signals, len(server.seen)) == ("B", {}, 1)


def test_parameters_are_renamed_or_left_out(server):
    names = {"max_tokens": "max_completion_tokens", "temperature": None, "logprobs": None}
    model = model_at(server, parameters=names)
    model.complete([FREE], seed=3)
    asked = server.seen[0][2]
    assert set(asked) == {"model", "messages", "seed", "max_completion_tokens"}
    assert asked["max_completion_tokens"] == FREE.max_tokens
    assert model.identity() != model_at(server).identity()
    with pytest.raises(ValueError, match=r"parameters.max_token: no such parameter; there are logprobs, max_tokens"):
        model_at(server, parameters={"max_token": None})


def test_our_own_gateway_is_an_endpoint_without_log_probabilities():
    with serving() as gateway:
        model = EndpointModel("own", f"{gateway.url}/v1", "small", parameters={"logprobs": None})
        (free,) = model.complete([FREE], seed=0)
    assert free.answer == "Say hello in French."


def test_a_trailing_slash_in_the_url_is_dropped(server):
    model = model_at(server)
    model = EndpointModel("remote", model.url + "//", "any")
    assert model.complete([FREE], seed=0)[0].answer.startswith("Echo")
    assert not model.identity()["endpoint"].endswith("/")


def test_a_prompt_beyond_the_servers_context_is_known_as_such(server):
    error = {"error": {"code": "context_length_exceeded", "message": "maximum context length is 9"}}
    server.faults = [(400, json.dumps(error).encode())]
    with pytest.raises(ContextExceeded, match="context_length_exceeded"):
        model_at(server).complete([FREE], seed=0)


@pytest.mark.parametrize("key", ["sk-secret\r", "sk-\nsecret", "sk-secret\x00", "sk-sécret"])
def test_a_key_with_a_control_character_is_refused_at_the_start_and_never_shown(server, monkeypatch, key):
    if "\x00" not in key:  # the system refuses it itself
        monkeypatch.setenv("KEY_OF_THE_TEST", key)
        with pytest.raises(ValueError, match="KEY_OF_THE_TEST holds a character that no key has") as refused:
            model_at(server, key_variable="KEY_OF_THE_TEST")
        assert "cret" not in str(refused.value)
    model = model_at(server, key_variable="KEY_SET_LATER")
    monkeypatch.setenv("KEY_SET_LATER", key.replace("\x00", "\r"))
    with pytest.raises(CallError, match="KEY_SET_LATER holds a character") as failed:
        model.complete([FREE], seed=0)
    assert "cret" not in str(failed.value)


@pytest.mark.parametrize(
    "url", ["http://user:PW@host/v1", "http://PW@host/v1", "http://host/v1?key=PW", "http://h/#PW"]
)
def test_a_url_with_a_password_is_refused_without_showing_it(url):
    with pytest.raises(ValueError, match="the url may hold no user, password, query or fragment") as refused:
        EndpointModel("remote", url, "any")
    assert "PW" not in str(refused.value)


def test_a_server_that_repeats_the_prompt_puts_no_prompt_and_no_line_into_an_error(server):
    task = replace(FREE, messages=[{"role": "user", "content": "my long and secret question about my health"}])
    echo = "bad request: my long and secret question about my health\n2026 INFO forged \x1b[31mline"
    for body in (echo.encode(), json.dumps({"error": {"message": echo}}).encode()):
        server.faults = [(400, body)]
        with pytest.raises(CallError) as failed:
            model_at(server).complete([task], seed=0)
        said = str(failed.value)
        assert "secret" not in said and "health" not in said
        assert said.isprintable() and "\\n2026 INFO forged \\x1b[31mline" in said


def with_top(*top):
    """Return a reply whose first token has these alternatives."""
    listed = [{"token": token, "logprob": value} for token, value in top]
    return answer("Paris", logprobs={"content": [{"token": "Paris", "logprob": -0.1, "top_logprobs": listed}]})


def test_a_label_outside_the_top_is_named_with_a_bound_and_the_task_is_asked_once(server):
    server.faults = [with_top(("Paris", -0.5), (" A", -2.0))]
    (choice,) = model_at(server).complete([CHOICE], seed=0)
    # e^-2 = .1353: the least likely token returned, which no token of B can exceed
    expected = {"label:A": 0.1353, "label:B": 0.0, "label_mass": 0.1353, "outside:B": 0.1353}
    assert choice.signals == pytest.approx(expected, abs=1e-4)
    assert (choice.answer, len(server.seen)) == ("A", 1)


def test_a_label_outside_the_top_is_asked_for_once_more_and_both_calls_are_counted(server):
    server.faults = [with_top(("Paris", -0.5), (" A", -2.0)), with_top(("Paris", -0.5), (" A", -2.0), ("B", -7.0))]
    (choice,) = model_at(server, label_logprobs=500).complete([CHOICE], seed=0)
    assert choice.signals == pytest.approx({"label:A": 0.13534, "label:B": 0.00091, "label_mass": 0.13625}, abs=1e-5)
    assert (choice.prompt_tokens, choice.completion_tokens) == (14, 4)
    asked = [body for _, _, body in server.seen]
    assert [(body["top_logprobs"], body["max_tokens"]) for body in asked] == [(20, CHOICE.max_tokens), (500, 1)]


def test_labels_that_the_second_call_lacks_too_leave_the_first_text_to_decide(server):
    neither = with_top(("Paris", -0.5), (" or", -3.0))
    server.faults = [(200, neither[1].replace(b'"content": "Paris"', b'"content": "B, Paris"')), neither]
    (choice,) = model_at(server, label_logprobs=500).complete([CHOICE], seed=0)
    assert (choice.answer, len(server.seen)) == ("B", 2)
    assert choice.signals == pytest.approx({"outside:A": 0.0498, "outside:B": 0.0498}, abs=1e-4)


def test_only_what_lacks_a_label_is_asked_for_again(server):
    model_at(server, label_logprobs=500).complete([CHOICE, FREE], seed=0)
    assert len(server.seen) == 2


def test_the_answer_to_a_choice_begins_as_with_a_local_model_where_asked_for(server):
    server.faults = [answer("Answer: B.")]  # llama.cpp repeats what it continues, vLLM and SGLang do not
    (choice,) = model_at(server, answer_prefix=True).complete([CHOICE], seed=0)
    model_at(server, answer_prefix=True).complete([FREE], seed=0)
    asked, free = (body for _, _, body in server.seen)
    assert choice.answer == "B"
    assert asked["messages"] == [*CHOICE.messages, {"role": "assistant", "content": "Answer:"}]
    assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)
    assert free["messages"] == FREE.messages and "continue_final_message" not in free


def test_what_an_answer_depends_on_is_in_the_identity_and_what_is_left_as_it_was_keeps_it(server):
    ways = [{}, {"answer_prefix": True}, {"label_logprobs": 500}, {"label_logprobs": 600}]
    assert len({model_at(server, **way).identity()["prompt_form"] for way in ways}) == 4
    assert model_at(server, concurrency="auto").identity() == model_at(server).identity()


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5, "many", None])
def test_a_concurrency_that_is_none_is_refused_in_one_line(server, concurrency):
    with pytest.raises(ValueError, match=r"^remote: concurrency=.*: allowed is a number from 1, or auto$"):
        model_at(server, concurrency=concurrency)


def test_asking_again_for_no_more_than_before_is_refused(server):
    with pytest.raises(ValueError, match="label_logprobs=20: allowed is null, or more than top_logprobs, which is 20"):
        model_at(server, label_logprobs=20)


def test_concurrency_is_found_while_calling_and_an_overload_lowers_it(server):
    server.takes_s = 0.02
    tasks = [make_task(number) for number in range(60)]
    model_at(server, concurrency="auto").complete(tasks, seed=0)
    assert 12 <= server.most < 60  # 8 calls at a time, and after 24 of them 12
    server.most, server.faults = 0, [429] * 30
    model_at(server, concurrency="auto", attempts=30).complete(tasks[:20], seed=0)
    assert server.most == 8  # at first; each refusal leaves fewer


@pytest.mark.real
@pytest.mark.skipif("SLM_ORCHESTRATION_ENDPOINT" not in os.environ, reason="needs a server with log-probabilities")
def test_a_real_server_gives_every_label_its_probability():
    """Set SLM_ORCHESTRATION_ENDPOINT to its URL; it must continue a message and give 1,000 log-probabilities."""
    url = os.environ["SLM_ORCHESTRATION_ENDPOINT"].rstrip("/")
    served = httpx2.get(f"{url}/models").json()["data"][0]["id"]
    capital = replace(TASKS[0], messages=[{"role": "user", "content": "Is Paris in France? Yes or No."}])
    capital = replace(capital, choices=["Yes", "No"])
    model = EndpointModel("real", url, served, answer_prefix=True, top_logprobs=1, label_logprobs=1000)
    choice, free = model.complete([capital, TASKS[2]], seed=0)
    assert choice.answer in capital.choices
    assert choice.signals["label:Yes"] > 0 and choice.signals["label:No"] > 0
    assert 0 < choice.signals["label_mass"] <= 1
    assert free.completion_tokens > 0 and free.signals["logprob_mean"] < 0
