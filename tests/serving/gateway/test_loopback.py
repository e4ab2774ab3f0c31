"""Without a key, what a page of another site can make a browser send is refused."""

import httpx2 as httpx
import pytest

from slm_orchestration.serving.gateway.loopback import is_loopback
from tests.serving.gateway.by_hand import chat, post
from tests.serving.gateway.echo_server import serving


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:8000"},
        {"host": ""},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
    ids=str,
)
def test_a_foreign_host_or_origin_is_a_403_on_every_path(running, headers):
    asked = len(running.gateway.backend.asked)
    refused = post(running, chat("hello"), headers=headers)
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "invalid_request_error")
    assert httpx.get(f"{running.url}/v1/models", headers=headers).status_code == 403
    assert len(running.gateway.backend.asked) == asked


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1", "127.8.9.1:80", "[::1]:8000", "LOCALHOST"])
def test_every_name_of_this_machine_is_served(running, host):
    headers = {"host": host, "origin": f"http://{host}"}
    assert post(running, chat("hello"), headers=headers).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp"])
def test_a_body_that_a_page_may_send_without_asking_is_a_415(running, content_type):
    refused = post(running, chat("hello"), headers={"content-type": content_type})
    assert refused.status_code == 415
    assert "send application/json" in refused.json()["error"]["message"]


def test_with_a_key_any_host_is_served():
    with serving(api_key="sesame") as one:
        headers = {"host": "models.example", "authorization": "Bearer sesame"}
        assert post(one, chat("hello"), headers=headers).status_code == 200


def test_addresses_and_names_of_this_machine():
    assert [is_loopback(one) for one in ("::1", "127.3.2.1", "localhost", "10.0.0.1", "localhost.evil", "")] == [
        *[True] * 3,
        *[False] * 3,
    ]
