"""What is read from a server's reply; test_endpoint.py has what the client does with it."""

import json
import sys
from dataclasses import replace

import pytest

from slm_orchestration.models.endpoint_reply import (
    BadReply,
    Refusal,
    completion,
    error_message,
    labels_outside,
    server_text,
)
from tests.models.local.test_model import TASKS
from tests.outcomes.test_collect import make_task

CHOICE, FREE = make_task(0), TASKS[1]
USAGE = {"prompt_tokens": 7, "completion_tokens": 2}


def reply(content="Bonjour.", *, usage=USAGE, more=None, **choice) -> bytes:
    choices = [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop", **choice}]
    return json.dumps({"choices": choices, "usage": usage, **(more or {})}).encode()


def first_token(*alternatives, text="B"):
    """Return a reply whose first token has these alternatives, (token, log-probability) each."""
    top = [{"token": token, "logprob": value} for token, value in alternatives]
    return reply(text, logprobs={"content": [{"token": text, "logprob": -0.5, "top_logprobs": top}]})


def test_a_free_answer_is_the_text_with_what_it_took():
    tokens = [{"token": "Bon", "logprob": -0.5}, {"token": "jour.", "logprob": -1.5}]
    found = completion(FREE, reply(logprobs={"content": tokens}, finish_reason="length"), 0.25)
    assert (found.answer, found.prompt_tokens, found.completion_tokens) == ("Bonjour.", 7, 2)
    assert (found.latency_s, found.finish_reason) == (0.25, "length")
    assert (found.signals["logprob_sum"], found.signals["logprob_mean"]) == (-2.0, -1.0)


def test_null_in_place_of_an_error_or_a_reason_to_finish_is_none():
    found = completion(FREE, reply(more={"error": None}, finish_reason=None), 0.1)
    assert (found.answer, found.finish_reason, found.signals) == ("Bonjour.", "stop", {})


def test_the_probabilities_of_a_label_add_up_over_its_spellings():
    # A: e^-1 = .368; B with and without a space: 2 · e^-2 = .271; the rest belongs to no label.
    body = first_token((" A", -1.0), ("B", -2.0), (" B", -2.0), ("Answer", -0.1), text="Answer")
    found = completion(CHOICE, body, 0.1)
    assert (found.answer, found.finish_reason) == ("A", "choice")
    assert found.signals == pytest.approx({"label:A": 0.3679, "label:B": 0.2707, "label_mass": 0.6386}, abs=1e-4)


def test_a_label_that_was_not_returned_has_the_bound_of_the_least_likely_token():
    # e^-3 = .0498; B was returned in one spelling, so that nothing of it is outside.
    found = completion(CHOICE, first_token(("Answer", -0.1), (" B", -3.0), ("So", -2.5), text="Answer"), 0.1)
    expected = {"label:A": 0.0, "label:B": 0.0498, "label_mass": 0.0498, "outside:A": 0.0498}
    assert found.answer == "B" and found.signals == pytest.approx(expected, abs=1e-4)
    assert labels_outside(found.signals)
    assert not labels_outside(completion(CHOICE, first_token(("A", -1.0), ("B", -2.0)), 0.1).signals)
    assert not labels_outside(completion(CHOICE, reply("A"), 0.1).signals)


@pytest.mark.parametrize(
    ("text", "answer"),
    [("B", "B"), (" B. Paris", "B"), ("A) yes", "A"), ("Answer: B", "Answer: B"), ("Both", "Both"), ("", "")],
)
def test_without_alternatives_the_text_decides_where_a_label_is_its_first_word(text, answer):
    found = completion(CHOICE, reply(text), 0.1)
    assert (found.answer, found.signals) == (answer, {})


def test_a_label_that_begins_another_one_is_not_mistaken_for_it():
    ten = replace(CHOICE, choices=[str(number) for number in range(1, 11)])
    assert completion(ten, reply("10."), 0.1).answer == "10"
    who = replace(CHOICE, choices=["No", "No one"])
    assert completion(who, reply("No one."), 0.1).answer == "No one"


@pytest.mark.parametrize(
    ("code", "raised"),
    [(404, Refusal), (400, Refusal), (408, BadReply), (429, BadReply), (500, BadReply), ("404", BadReply)],
)
def test_only_a_code_that_says_so_means_that_asking_again_does_not_help(code, raised):
    body = json.dumps({"error": {"code": code, "message": "no"}}).encode()
    with pytest.raises(ValueError, match=f"^the reply holds no answer \\({code}: no\\)$") as failed:
        completion(FREE, body, 0.1)
    assert type(failed.value) is raised


def test_an_error_beside_choices_counts_and_a_reply_without_usage_is_refused():
    with pytest.raises(BadReply, match=r"holds no answer \(overloaded\)"):
        completion(FREE, reply(more={"error": "overloaded"}), 0.1)
    with pytest.raises(Refusal, match="without tokens it has no price"):
        completion(FREE, reply(usage=None), 0.1)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the reply is not JSON"),
        (b"[" * 100_000, "the reply is not JSON"),
        (b"7", "the reply is int, not an object"),
        (b'{"choices": {}}', "the first of choices is NoneType"),
        (b'{"choices": ["a"]}', "the first of choices is str"),
        (b'{"choices": [{}]}', "message is NoneType"),
        (reply(7), "content is int, not text"),
        (reply("\ud800"), "content holds half a character"),
        (reply(finish_reason="\ud800"), "finish_reason holds half a character"),
        (reply(usage=USAGE | {"prompt_tokens": True}), "usage.prompt_tokens is True"),
        (reply(usage=USAGE | {"completion_tokens": 10**9 + 1}), "usage.completion_tokens is 1000000001"),
        (reply(usage={"prompt_tokens": 7}), "usage.completion_tokens is None"),
        (reply(logprobs={"content": [{"logprob": 0.5}]}), "a log-probability is 0.5"),
        (reply(logprobs={"content": [{"logprob": -(10**400)}]}), "a log-probability is -1000"),
        (reply(logprobs={"content": [{"logprob": float("-inf")}]}), "a log-probability is -inf"),
        (reply(logprobs={"content": {"logprob": -1}}), "logprobs.content is dict, not a list"),
    ],
    ids=lambda case: str(case)[-40:],
)
def test_a_reply_of_another_form_is_bad_and_the_error_says_which_part(body, says):
    with pytest.raises(BadReply, match=says):
        completion(FREE, body, 0.1)


def test_a_reply_nested_to_any_depth_is_bad_and_no_error_of_ours():
    for depth in range(sys.getrecursionlimit()):
        body = b'{"x": ' + b"[" * depth + b"]" * depth + b"}"
        with pytest.raises(BadReply):
            completion(FREE, body, 0.1)
        assert error_message(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"code": 429, "message": "slow down", "type": "x"}}', "429: slow down"),
        (b'{"error": {"detail": "not found"}}', "not found"),
        (b'{"error": "out of memory"}', "out of memory"),
        (b'{"error": null, "message": "overloaded"}', "overloaded"),
        (b'{"detail": "Unauthorized"}', "Unauthorized"),
        (b"<html>502</html>", "<html>502</html>"),
        (b"[1]", "[1]"),
        (b"no\xff", "no\ufffd"),
        (b"x" * 5_000, "x" * 2_000),
    ],
    ids=lambda case: str(case)[:40],
)
def test_an_error_is_its_code_and_message_wherever_the_server_puts_them(body, message):
    assert error_message(body) == message


def test_what_a_server_repeats_of_the_prompt_is_left_out_and_the_rest_is_one_line():
    prompt = ["tell me all about my health", "Yes", "No"]
    assert server_text("bad: all about my health!\n\x1b[1m", prompt) == "bad:…!\\n\\x1b[1m"
    # A run of 12 characters is the prompt's, one of 11 may be anyone's.
    assert server_text("ut my health|t my health", prompt) == "…|t my health"
    # A short prompt is left out as a whole, one of two characters stands in too many other words.
    assert server_text("Yes, No and None", prompt) == "…, No and None"
    assert server_text("é" * 300, []) == "é" * 200
