"""OpenAI's schemas: what a request means and what a completion and an error look like."""

import json

import pytest
from pydantic import ValidationError

from slm_orchestration.serving.gateway import openai_api as api
from slm_orchestration.serving.gateway.openai_api import Chat, ChatRequest, Reply
from tests.serving.gateway.by_hand import USER, post

REPLY = Reply("yes", "small", 3, 2, "stop", 1e-6, ("small",))


def _request(**fields):
    return ChatRequest.model_validate_json(json.dumps({"model": "auto", "messages": USER} | fields))


def test_text_parts_are_joined_and_the_role_developer_becomes_system(running):
    parts = [{"type": "text", "text": "to "}, {"type": "text", "text": "be"}]
    messages = [{"role": "developer", "content": "Rhyme."}, {"role": "user", "content": parts}]
    assert post(running, {"model": "small", "messages": messages, "tools": None}).status_code == 200
    plain = [{"role": "system", "content": "Rhyme."}, {"role": "user", "content": "to be"}]
    assert running.gateway.backend.asked[-1] == Chat(plain, "small", None)


def test_auto_names_no_model_and_the_newer_limit_of_tokens_wins():
    assert _request().to_chat() == Chat(USER, None, None)
    assert _request(model="large", max_tokens=5).to_chat() == Chat(USER, "large", 5)
    assert _request(max_tokens=5, max_completion_tokens=7).to_chat().max_tokens == 7


def test_unknown_fields_are_ignored_and_numbers_are_not_taken_from_texts():
    assert _request(metadata={}).to_chat() == Chat(USER, None, None)
    with pytest.raises(ValidationError):
        _request(max_tokens="5")


def test_an_error_names_the_place_and_repeats_nothing_of_the_request():
    with pytest.raises(ValidationError) as refused:
        _request(messages=[*USER, {"role": "wizard", "content": "my secret"}])
    error = api.validation_error_body(refused.value)["error"]
    assert error["param"] == "messages.1.role"
    assert error["message"].startswith("messages.1.role: the role of a message is system, developer, user or assistant")
    assert "secret" not in json.dumps(error) and "wizard" not in json.dumps(error)


def test_a_completion_adds_its_tokens_up_and_holds_what_openai_lacks():
    whole = api.completion(REPLY)
    assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert whole["orchestration"] == {
        "model": "small",
        "cost_usd": 1e-6,
        "models_called": ["small"],
        "cache": None,
    }
    assert whole["choices"][0]["message"]["content"] == "yes"
    assert whole["id"] != api.completion(REPLY)["id"]


def test_every_schema_that_the_document_refers_to_is_in_it():
    document = api.openapi_document()
    referred = {text.partition('"')[0] for text in json.dumps(document).split("#/components/schemas/")[1:]}
    assert referred and referred <= set(document["components"]["schemas"])


def test_keys_are_compared_by_digests_of_equal_length():
    assert len(api.key_digest("a")) == len(api.key_digest("a" * 1000)) == 32
    assert api.key_digest("sesame") == api.key_digest("sesame") != api.key_digest("sesam")
