"""What a failed request gets, and how a stream ends."""

import asyncio
import json

import pytest
from starlette.requests import ClientDisconnect

from slm_orchestration.models.model import CallError
from slm_orchestration.serving.gateway import responses
from slm_orchestration.serving.gateway.responses import EventStream, InvalidRequest
from slm_orchestration.serving.resilience import Overloaded, Stopping


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidRequest("too long"), 400, None),
        (Overloaded("full"), 429, "overloaded"),
        (Stopping("stopping"), 503, "server_stopping"),
        (TimeoutError(), 504, "timeout"),
        (ClientDisconnect(), 499, None),
        (CallError("small: my secret"), 503, "model_unavailable"),
    ],
)
def test_each_failure_has_its_status_and_only_an_invalid_request_its_reason(error, status, code):
    response = responses.error_response(error)
    body = json.loads(response.body)["error"]
    assert (response.status_code, body["code"]) == (status, code)
    assert response.headers.get("retry-after") == ("1" if status == 429 else None)
    assert "secret" not in body["message"]
    assert (body["message"] == "too long") == (status == 400)


def test_an_event_is_one_line_of_json_and_an_empty_one():
    event = responses.sse_event({"text": "a\nb"})
    assert event == b'data: {"text":"a\\nb"}\n\n'


def test_work_goes_on_while_the_client_is_there_and_is_cancelled_when_it_leaves():
    async def scene(client_leaves):
        ended = []

        async def receive():
            if not client_leaves:
                await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def work():
            try:
                await asyncio.sleep(60 if client_leaves else 0)
                return "answer"
            finally:
                ended.append(True)

        try:
            return await responses.while_connected(receive, work())
        except ClientDisconnect:
            return ended

    assert asyncio.run(scene(client_leaves=False)) == "answer"
    assert asyncio.run(scene(client_leaves=True)) == [True]


@pytest.mark.parametrize(
    ("failure", "limit_s", "status", "last"),
    [
        (None, 5.0, 200, b"two"),
        (CallError("small died"), 5.0, 503, b"no model answered"),
        (TimeoutError(), 5.0, 504, b"took too long"),
        ("stall", 0.05, 504, b"one"),
    ],
)
def test_a_stream_reports_how_it_ended_and_closes_its_source(failure, limit_s, status, last):
    statuses, sent, closed = [], [], []

    async def source():
        try:
            yield b"one"
            if failure == "stall":
                await asyncio.sleep(60)
            if failure:
                raise failure
            yield b"two"
        finally:
            closed.append(True)

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message.get("body", b""))

    async def scene():
        pieces = source()
        scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
        await EventStream(pieces, pieces, limit_s, statuses.append)(scope, receive, send)

    asyncio.run(scene())
    assert (statuses, closed) == ([status], [True])
    assert last in [part for part in sent if part][-1]
