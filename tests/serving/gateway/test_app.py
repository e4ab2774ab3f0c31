"""The gateway and its clients: the official client, invalid requests, and clients that stall or disconnect."""

import asyncio
import json
import logging
import socket
import time

import httpx2 as httpx
import openai
import pytest

from slm_orchestration.serving.gateway.app import RequestLimits
from slm_orchestration.serving.gateway.openai_api import Chat
from tests.serving.gateway.by_hand import USER, chat, post, raw_post, until
from tests.serving.gateway.echo_server import serving

JSON = {"content-type": "application/json"}


def client(running, key="none"):
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0)


def test_the_official_client_gets_a_completion(running):
    completion = client(running).chat.completions.create(model="auto", messages=USER, max_tokens=9)
    assert completion.choices[0].message.content == "to be or not"
    assert (completion.model, completion.choices[0].finish_reason) == ("small", "stop")
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens, completion.usage.total_tokens) == (
        1,
        4,
        5,
    )
    assert completion.model_extra["orchestration"]["cost_usd"] == 2e-6
    assert running.gateway.backend.asked[-1] == Chat(USER, None, 9)


def test_the_official_client_streams(running):
    stream = client(running).chat.completions.create(
        model="large", messages=USER, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "to be or not "
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == 5
    assert {chunk.model for chunk in chunks} == {"large"}
    assert {chunk.usage for chunk in chunks[:-1]} == {None}
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_official_async_client_works_too(running):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none") as asynchronous:
            return await asynchronous.chat.completions.create(model="auto", messages=USER)

    assert asyncio.run(ask()).choices[0].message.content == "to be or not"


def test_the_official_client_lists_models_and_understands_errors(running):
    assert [model.id for model in client(running).models.list()] == ["auto", "small", "large"]
    assert client(running).models.retrieve("large").id == "large"
    with pytest.raises(openai.NotFoundError, match="'huge' does not exist"):
        client(running).chat.completions.create(model="huge", messages=USER)
    with pytest.raises(openai.BadRequestError, match="messages: List should have at least 1 item"):
        client(running).chat.completions.create(model="auto", messages=[])
    with pytest.raises(openai.InternalServerError) as caught:
        client(running).chat.completions.create(**chat("fail"))
    assert (caught.value.status_code, caught.value.code) == (503, "model_unavailable")


def test_a_stream_that_breaks_off_ends_with_an_error(running):
    stream = client(running).chat.completions.create(**chat("one break"), stream=True)
    with pytest.raises(openai.APIError, match="no model answered"):
        list(stream)
    assert running.in_flight() == 0


def test_a_stream_that_fails_at_once_has_the_status_of_the_error(running):
    assert post(running, chat("fail", stream=True)).status_code == 503
    assert running.in_flight() == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe{}",
        b'{"model": "auto", "messages": [{"role": "user", "content": "\xff"}]}',
        b'{"model": "auto", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b"[" * 100_000,
        b'{"model": "auto", "messages": ' + b'[{"a":' * 5_000 + b"1",
        b'{"model": "auto", "temperature": NaN, "messages": [{"role": "user", "content": "a"}]}',
        b'{"model": "auto", "temperature": 1e999, "messages": [{"role": "user", "content": "a"}]}',
        b'{"model": "auto", "max_tokens": 1' + b"0" * 5000 + b', "messages": [{"role": "user", "content": "a"}]}',
        chat("a", max_tokens=-1),
        chat("a", max_tokens=True),
        chat("a", temperature="hot"),
        chat("a", stream="yes"),
        chat("a", user=7),
        {"model": "auto", "messages": {"role": "user", "content": "a"}},
        {"model": "auto", "messages": [{"role": "wizard", "content": "a"}]},
        {"model": "auto", "messages": [{"role": "user", "content": None}]},
        {"model": "auto", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        {"model": "auto", "messages": USER * 10_000},
        {"model": "", "messages": USER},
        {"model": 7, "messages": USER},
        {"messages": USER},
        chat("refuse"),
    ],
    ids=lambda body: str(body)[:40],
)
def test_an_invalid_request_is_a_400_in_openais_schema(running, body):
    response = post(running, body)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert len(response.content) < 1000


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"n": 2}, "n: one answer per request is supported"),
        ({"tools": [{"type": "function"}]}, "tools: tools are not supported"),
        ({"stop": ["b"]}, "stop: stop sequences are not supported"),
        ({"stop": "b"}, "stop: stop sequences are not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format: only text is supported, not JSON mode"),
        ({"logprobs": True}, "logprobs: log-probabilities are not returned"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content: a message needs a text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages.0.content: a message needs a text",
        ),
        ({"messages": [*USER, {"role": "tool", "content": "4"}]}, "messages.1.role: the role of a message is"),
    ],
    ids=str,
)
def test_what_is_not_supported_is_said_in_one_plain_sentence(running, fields, said):
    error = post(running, chat("a") | fields).json()["error"]
    assert error["message"].startswith(said)
    assert not any(word in error["message"] for word in ("Input should", "pydantic", "literal"))


def test_what_has_no_effect_is_accepted(running):
    empty = {"tools": [], "stop": [], "functions": [], "n": 1, "response_format": {"type": "text"}, "logprobs": False}
    nothing = dict.fromkeys(
        ("tools", "stop", "functions", "n", "response_format", "logprobs", "user", "stream_options")
    )
    for fields in (empty, nothing, {"temperature": 0.5, "top_p": 1, "seed": 7, "presence_penalty": 0, "store": False}):
        assert post(running, chat("a") | fields).status_code == 200


def test_all_chunks_of_a_stream_name_the_model_that_was_asked_for(running):
    stream = client(running).chat.completions.create(
        model="auto", messages=USER, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert {chunk.model for chunk in chunks} == {"auto"}
    assert chunks[-2].model_extra["orchestration"]["model"] == "small"
    text = post(running, chat("a b", stream=True, stream_options={"include_usage": True})).text
    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]
    assert [event["usage"] is None for event in events] == [*[True] * (len(events) - 1), False]
    assert "usage" not in post(running, chat("a b", stream=True)).text


def test_too_long_a_prompt_has_openais_code(running):
    refused = post(running, chat("refuse"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_the_tenant_is_the_key_and_the_user(running):
    post(running, chat("a", user="ann"))
    assert running.gateway.backend.asked[-1].tenant == "/ann"
    with serving(api_key="sesame") as one:
        post(one, chat("a", user="ann"), headers={"authorization": "Bearer sesame"})
        tenant = one.gateway.backend.asked[-1].tenant
        assert tenant.endswith("/ann") and len(tenant) > 60 and "sesame" not in tenant


def test_errors_of_paths_and_methods_have_openais_schema(running):
    for method, path, status in [("GET", "/v1/chat/completions", 405), ("GET", "/nowhere", 404), ("PUT", "/%ff", 404)]:
        response = httpx.request(method, running.url + path)
        assert (response.status_code, response.json()["error"]["type"]) == (status, "invalid_request_error")


def test_a_request_that_is_too_large_is_a_413_with_and_without_a_content_length(running):
    large = b"x" * 1_000_001
    assert post(running, large).status_code == 413

    def pieces():
        for start in range(0, len(large), 100_000):
            yield large[start : start + 100_000]

    assert httpx.post(f"{running.url}/v1/chat/completions", content=pieces(), headers=JSON).status_code == 413


def test_clients_that_disconnect_end_their_requests(running):
    before = running.gateway.admission.abandoned
    for stream in (True, False):
        sent = raw_post(chat("slowly " * 200 if stream else "stall", stream=stream))
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(sent)
            if stream:
                assert b"200 OK" in connection.recv(1000)
            else:
                until(lambda: running.gateway.admission.in_flight == 1)
    assert running.in_flight() == 0
    assert running.gateway.admission.abandoned == before + 2


def test_too_many_requests_get_a_429_and_may_retry():
    with serving(running=1, waiting=0) as one:
        with socket.create_connection(("127.0.0.1", one.port)) as connection:
            sent = raw_post(chat("stall"))
            connection.sendall(sent)
            until(lambda: one.gateway.admission.in_flight == 1)
            response = post(one, chat("hello"))
            assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        assert one.in_flight() == 0
        assert post(one, chat("hello")).status_code == 200


def test_an_answer_that_takes_too_long_is_a_504():
    with serving(limits=RequestLimits(answer_s=0.1)) as one:
        assert [post(one, chat("stall", stream=stream)).status_code for stream in (False, True)] == [504, 504]
        assert one.in_flight() == 0
        assert one.gateway.admission.failed == 1


def test_with_a_key_only_requests_with_it_are_served():
    with serving(api_key="sesame") as one:
        assert client(one, "sesame").chat.completions.create(model="auto", messages=USER).model == "small"
        for wrong in ("", "sesam", "sesame2"):
            with pytest.raises(openai.AuthenticationError):
                client(one, wrong or "none").models.list()
        assert post(one, chat("a")).json()["error"]["code"] == "invalid_api_key"
        assert httpx.get(f"{one.url}/health").json() == {"status": "ok"}


def test_metrics_count_and_never_contain_a_prompt(running):
    assert post(running, chat("my secret")).status_code == 200
    text = httpx.get(f"{running.url}/metrics").text
    assert 'slm_orchestration_requests_total{status="200"}' in text
    assert 'slm_orchestration_tokens_total{kind="completion",model="small"}' in text
    assert "slm_orchestration_admission_in_flight 0.0" in text
    assert "secret" not in text


def test_an_internal_error_is_a_500_without_details(running, caplog):
    with caplog.at_level(logging.DEBUG):
        response = post(running, chat("bug"))
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "secret" not in response.text
    assert running.in_flight() == 0


def test_no_prompt_is_logged(running, caplog):
    with caplog.at_level(logging.DEBUG):
        for text in ("my secret", "fail"):
            post(running, chat(text, user="secret"))
        post(running, b'{"secret": ')
    assert "secret" not in caplog.text


def test_a_cached_answer_needs_no_place_and_is_counted():
    with serving(running=1, waiting=0) as full:
        stalled = socket.create_connection(("127.0.0.1", full.port))
        stalled.sendall(raw_post(chat("stall")))
        while not full.gateway.admission.in_flight:
            time.sleep(0.01)
        assert post(full, chat("another")).status_code == 429
        assert post(full, chat("known")).json()["orchestration"]["cache"] == "exact"
        stalled.close()
        assert full.in_flight() == 0
        admission = full.gateway.admission
        assert (admission.accepted, admission.answered, admission.refused, admission.abandoned) == (2, 1, 1, 1)
