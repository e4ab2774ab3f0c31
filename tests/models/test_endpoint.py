"""What a client does when its server misbehaves; test_endpoint_choices.py has how it asks for labels."""

import json
from dataclasses import replace

import pytest

from slm_orchestration.models.endpoint import EndpointModel
from slm_orchestration.models.model import CallError, ContextExceeded
from slm_orchestration.outcomes.collect import CollectionSettings, collect
from slm_orchestration.outcomes.store import read_outcomes
from tests.models.endpoint_server import KEY, answer, model_at
from tests.models.local.test_model import TASKS
from tests.outcomes.test_collect import exact, make_task
from tests.serving.by_hand import SMALL, orchestrator, scripted, write_records
from tests.serving.gateway.echo_server import serving

CHOICE, FREE = make_task(0), TASKS[1]


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("SLM_ORCHESTRATION_CACHE", str(tmp_path / "cache"))
    write_records(tmp_path)
    return tmp_path


def test_a_choice_is_the_likeliest_label_and_a_free_answer_is_the_text_with_its_signals(server):
    choice, free = model_at(server).complete([CHOICE, FREE], seed=0)
    assert choice.answer == "B"
    assert choice.signals == pytest.approx({"label:A": 0.22313, "label:B": 0.60653, "label_mass": 0.82966}, abs=1e-4)
    assert (free.answer, free.prompt_tokens, free.completion_tokens) == ("Echo: Say hello in French.", 7, 2)
    assert free.signals["logprob_sum"] == -1.5
    assert server.seen[0][2]["temperature"] == 0


@pytest.mark.parametrize("fault", [429, 500, "stall", "drip", "cut", "malformed"])
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


def test_a_reply_without_end_fails_that_task_alone(server, monkeypatch):
    monkeypatch.setattr("slm_orchestration.models.endpoint._MOST_BYTES", 1 << 20)
    server.faults = [(200, b" " * (2 << 20))] * 2
    with pytest.raises(CallError, match=r"gave no answer in 2 attempts \(last: BadReply: a reply of over 1 MB"):
        model_at(server, attempts=2, timeout_s=5).complete([FREE], seed=0)
