"""Replay pays for every call, read and prediction."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing import features, replay
from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.outcome_matrix import SideTable
from slm_orchestration.routing.references import one_model_each
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.routers.heuristic import HeuristicRouter
from slm_orchestration.routing.routers.hidden_state import HiddenStateRouter
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


def test_retention_is_null_where_the_most_expensive_model_is_always_wrong():
    outcomes = matrix([[1, 0], [0, 0]])
    choices = one_model_each(np.array([[0, 0]]), 2, np.array([0.5]))
    assert replay.curves(replay.replay("s", choices, outcomes, overhead=Overhead()), outcomes)["retention"].isna().all()


def test_choices_for_other_tasks_are_refused():
    choices = one_model_each(np.array([[0, 0]]), 3, np.array([0.5]))
    with pytest.raises(ValueError, match="choices are for"):
        replay.replay("s", choices, OUTCOMES, overhead=Overhead())


def test_the_profile_is_written_read_and_charged(tmp_path):
    row = {
        "single_p50_s": 0.002,
        "single_p99_s": 0.004,
        "batched_s": 0.001,
        "tasks": 5,
        "device": "cpu",
        "threads": 2,
        "measured_on": "2026-01-01",
    }
    path = tmp_path / "overhead.csv"
    replay.write_overhead(path, pd.DataFrame([row], index=pd.Index(["heuristic"], name="strategy")))
    charged = replay.overhead(replay.read_overhead(path), "heuristic", usd_per_s=10.0)
    assert (charged.latency_s, charged.cost_usd) == (0.002, 0.01)


def test_a_probe_of_states_is_timed_though_it_reads_no_prompt():
    outcomes = matrix([[1, 0, 1], [0, 1, 1]] * 20)
    states = SideTable(np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32), *[np.zeros(40)] * 3)
    outcomes = dataclasses.replace(outcomes, side={f"state:{outcomes.models[0]}": states})
    router = HiddenStateRouter("cheapest", 2, 0)
    asked: list[int] = []

    def predicted(prompts, answers):
        asked.append(len(prompts))
        return HiddenStateRouter.predict_quality(router, prompts, answers)

    router.fit(fit_table(outcomes, router))
    router.predict_quality = predicted
    replay.measure_overhead(router, outcomes)
    assert asked == [1] * 41 + [40]


def test_a_measurement_counts_its_tasks_and_takes_time():
    outcomes = matrix([[1, 1, 1]] * 7)
    row = replay.measure_overhead(HeuristicRouter().fit(fit_table(outcomes)), outcomes)
    assert row["tasks"] == 7
    assert 0 < row["single_p50_s"] <= row["single_p99_s"]


def test_a_measurement_is_of_prompts_that_nobody_has_seen():
    outcomes = matrix([[1, 1, 1]] * 7, questions=[f"What is {number} plus {number}?" for number in range(7)])
    features.analyse(outcomes.tasks["question"])
    replay.measure_overhead(HeuristicRouter().fit(fit_table(outcomes)), outcomes)
    assert features._analyse.cache_info()[:2] == (0, 7)  # no hit, and seven analyses in the last batch
