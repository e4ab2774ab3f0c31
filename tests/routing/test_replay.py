import numpy as np
import pytest

from slm_orchestration.routing import replay
from slm_orchestration.routing.references import one_model_each
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.rules import GUESS, Choices
from tests.routing.tables_by_hand import matrix

OUTCOMES = matrix([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]], domains=["logic", "logic", "code", "code"])


def _cascade(called: list[list[bool]]) -> Choices:
    paid = np.array([called])
    served = paid.shape[2] - 1 - paid[:, :, ::-1].argmax(axis=2)
    return Choices(thresholds=np.array([0.5]), called=paid, served=served, predictions=paid.sum(axis=2))


def test_a_cascade_pays_for_every_call_when_it_escalates():
    choices = _cascade([[True, False, False], [True, True, False], [True, True, True], [True, True, True]])
    table = replay.decisions(replay.replay("cascade", choices, OUTCOMES, overhead=Overhead()), OUTCOMES)
    assert table["cost_usd"].tolist() == [1.0, 4.0, 14.0, 14.0]
    assert table["latency_s"].tolist() == pytest.approx([0.1, 0.4, 1.4, 1.4])
    assert table["device_s"].tolist() == pytest.approx([0.05, 0.2, 0.7, 0.7])
    assert table["quality"].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert table["escalated"].tolist() == [False, False, True, True]
    assert [list(names) for names in table["models_called"]][1:3] == [["small", "middle"], ["small", "middle", "large"]]


def test_a_router_pays_for_its_own_time():
    choices = _cascade([[True, False, False]] * 3 + [[True, True, False]])
    paid = replay.replay("cascade", choices, OUTCOMES, overhead=Overhead(latency_s=0.01, cost_usd=0.5, device_s=0.25))
    assert paid.router_latency_s.tolist() == [[0.01, 0.01, 0.01, 0.02]]
    assert paid.cost_usd.tolist() == [[1.5, 1.5, 1.5, 5.0]]
    assert paid.device_s[0] == pytest.approx([0.3, 0.3, 0.3, 0.7])
    assert paid.latency_s[0] == pytest.approx([0.11, 0.11, 0.11, 0.42])


def test_a_guess_costs_nothing_and_gives_the_guessed_quality():
    choices = one_model_each(np.full((1, 4), GUESS), 3, np.array([np.nan]))
    table = replay.decisions(replay.replay("guess", choices, OUTCOMES, overhead=Overhead()), OUTCOMES)
    assert table["cost_usd"].tolist() == [0.0] * 4
    assert table["quality"].tolist() == [0.25] * 4
    assert table["model"].tolist() == ["guess"] * 4
    assert table["threshold"].isna().all()


def test_curves_hold_means_overall_and_per_domain():
    choices = one_model_each(np.array([[0, 0, 2, 2]]), 3, np.array([0.5]))
    curve = replay.curves(replay.replay("s", choices, OUTCOMES, overhead=Overhead()), OUTCOMES).set_index("domain")
    assert curve["quality"].to_dict() == {"overall": 0.5, "logic": 0.5, "code": 0.5}
    assert curve["retention"].to_dict() == pytest.approx({"overall": 0.5 / 0.75, "logic": 0.5, "code": 1.0})
    assert curve["small_share"].to_dict() == {"overall": 0.5, "logic": 1.0, "code": 0.0}
    assert curve["cost_usd"].to_dict() == {"overall": 5.5, "logic": 1.0, "code": 10.0}
    assert curve["tasks"].to_dict() == {"overall": 4, "logic": 2, "code": 2}


def test_retention_is_null_where_the_dearest_model_is_always_wrong():
    outcomes = matrix([[1, 0], [0, 0]])
    choices = one_model_each(np.array([[0, 0]]), 2, np.array([0.5]))
    assert replay.curves(replay.replay("s", choices, outcomes, overhead=Overhead()), outcomes)["retention"].isna().all()


def test_choices_for_other_tasks_are_refused():
    choices = one_model_each(np.array([[0, 0]]), 3, np.array([0.5]))
    with pytest.raises(ValueError, match="choices are for"):
        replay.replay("s", choices, OUTCOMES, overhead=Overhead())
