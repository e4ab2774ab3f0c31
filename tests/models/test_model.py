"""The raw signals of a free answer."""

import pytest

from slm_orchestration.models.model import BatchStreaming, TokenStreaming, WhiteBox, token_signals
from slm_orchestration.models.scripted import ScriptedModel


def test_signals_are_sums_and_quantiles_of_the_tokens_log_probabilities():
    # quantiles of five values in order: 0.1 lies four tenths of the way from the first to the second
    signals = token_signals([-1.0, -5.0, -2.0, -4.0, -3.0])
    assert signals == {
        "logprob_sum": -15.0,
        "logprob_mean": -3.0,
        "logprob_min": -5.0,
        "logprob_q10": pytest.approx(-4.6),
        "logprob_q50": -3.0,
    }


def test_an_answer_without_tokens_has_no_signals():
    assert token_signals([]) == {}


def test_a_model_that_only_completes_offers_nothing_besides():
    model = ScriptedModel("small")
    assert [isinstance(model, kind) for kind in (BatchStreaming, TokenStreaming, WhiteBox)] == [False] * 3
