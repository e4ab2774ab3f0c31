"""An online strategy is the mean over its streams, and its spread is theirs."""

from dataclasses import replace

import numpy as np
import pytest

from slm_orchestration.routing.references import drawn_at_random, one_model_each
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.studies.online import measures_by_stream, summary
from tests.routing.tables_by_hand import matrix

OUTCOMES = matrix([[1, 1], [0, 1], [0, 1], [0, 0]])
# Two streams at one threshold: the first calls the large model on the first two tasks, the second never.
SERVED = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 0]]], dtype=np.uint8)


def _choices():
    shares = np.stack([(model == SERVED).mean(axis=0) for model in range(2)], axis=2)
    return replace(drawn_at_random(shares, np.array([0.5])), by_stream=SERVED)


def test_each_stream_has_its_own_quality_cost_and_gain():
    found = measures_by_stream(
        _choices(), OUTCOMES, Overhead(cost_usd=0.5), calibration=OUTCOMES, costs=np.array([3.0])
    )
    assert found["quality"].ravel().tolist() == [0.5, 0.25]
    assert found["cost_usd"].ravel().tolist() == [6.0, 1.5]
    assert found["retention"].ravel() == pytest.approx([0.5 / 0.75, 0.25 / 0.75])
    assert found["small_share"].ravel().tolist() == [0.5, 1.0]
    # guess and the small model have .25 both: the mixture goes from .25 at 0 to .75 at 10.
    assert found["gain_over_mixture"].ravel() == pytest.approx([0.5 - 0.55, 0.25 - 0.325])


def test_the_summary_holds_the_mean_the_spread_and_the_number_of_streams():
    by_stream = {"quality": np.linspace(0, 1, 41)[:, None]}
    rows = summary("b", by_stream, position=0, level=0.95, tasks=4).set_index("metric")
    assert rows.loc["quality", ["estimate", "low", "high"]].tolist() == pytest.approx([0.5, 0.025, 0.975])
    assert rows.loc["streams", "estimate"] == 41.0


def test_a_strategy_without_streams_is_refused():
    choices = one_model_each(np.zeros((1, 4), int), 2, np.array([0.5]))
    with pytest.raises(ValueError, match="over streams"):
        measures_by_stream(choices, OUTCOMES, Overhead(), calibration=OUTCOMES, costs=np.array([1.0]))
