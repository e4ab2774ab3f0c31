"""How labels are asked for, and how many calls at a time; test_endpoint.py has the rest of the client."""

import os
from dataclasses import replace

import httpx2
import pytest

from slm_orchestration.models.endpoint import EndpointModel
from tests.models.endpoint_server import answer, model_at
from tests.models.local.test_model import TASKS
from tests.outcomes.test_collect import make_task

CHOICE, FREE = make_task(0), TASKS[1]


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
    server.takes_s = 0.05
    tasks = [make_task(number) for number in range(90)]
    model_at(server, concurrency="auto", timeout_s=30).complete(tasks, seed=0)
    assert 8 < server.most < 90  # 8 calls at a time, and after 24 of them 12
    server.most, server.faults = 0, [429] * 30
    model_at(server, concurrency="auto", timeout_s=30, attempts=30).complete(tasks[:20], seed=0)
    assert server.most <= 8  # at first; each refusal leaves fewer


def test_more_than_a_hundred_calls_can_run_together(server):
    server.takes_s = 2.0
    tasks = [make_task(number) for number in range(120)]
    model_at(server, concurrency=120, timeout_s=30).complete(tasks, seed=0)
    assert server.most > 100


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
