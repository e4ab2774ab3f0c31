"""The gateway's metrics, counted by hand."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from slm_orchestration.serving.gateway.metrics import Metrics
from slm_orchestration.serving.gateway.openai_api import Reply
from slm_orchestration.serving.resilience import Admission


def _values(metrics):
    families = text_string_to_metric_families(metrics.text().decode())
    samples = (sample for family in families for sample in family.samples)
    return {(one.name.removeprefix("slm_orchestration_"), *sorted(one.labels.values())): one.value for one in samples}


def _reply(cache=None, model="small"):
    return Reply("text", model, 10, 4, "stop", 0.5, (), cache)


def test_an_answer_from_the_cache_costs_no_tokens():
    metrics = Metrics(Admission(1, 0))
    for reply in (_reply(), _reply(), _reply("exact"), _reply(model="large")):
        metrics.count_answer(reply)
    values = _values(metrics)
    assert values["answers_total", "none", "small"] == 2
    assert values["answers_total", "exact", "small"] == 1
    assert values["tokens_total", "prompt", "small"] == 20
    assert values["tokens_total", "completion", "large"] == 4
    assert values["cost_usd_total",] == 2.0


def test_requests_are_counted_by_status_and_their_seconds_in_buckets():
    metrics = Metrics(Admission(1, 0))
    for status, seconds in ((200, 0.002), (200, 0.3), (429, 0.0)):
        metrics.count_request(status, seconds)
    values = _values(metrics)
    assert (values["requests_total", "200"], values["requests_total", "429"]) == (2, 1)
    assert (values["request_seconds_count",], values["request_seconds_sum",]) == (3, pytest.approx(0.302))
    assert (values["request_seconds_bucket", "0.0025"], values["request_seconds_bucket", "0.5"]) == (2, 3)


def test_the_states_of_the_admission_are_read_when_asked():
    admission = Admission(1, 0)
    metrics = Metrics(admission)

    async def inside():
        async with admission.admitted():
            return _values(metrics)

    values = asyncio.run(inside())
    assert (values["admission_in_flight",], values["admission_accepted",]) == (1, 1)
    assert (_values(metrics)["admission_in_flight",], _values(metrics)["admission_answered",]) == (0, 1)


def test_two_gateways_count_apart():
    one, other = (Metrics(Admission(1, 0)) for _ in range(2))
    one.count_answer(_reply())
    assert ("answers_total", "none", "small") not in _values(other)
