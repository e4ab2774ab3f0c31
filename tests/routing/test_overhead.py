import dataclasses

import numpy as np
import pandas as pd

from slm_orchestration.routing import features, replay
from slm_orchestration.routing.outcome_matrix import Recorded
from slm_orchestration.routing.routers.heuristic import HeuristicRouter
from slm_orchestration.routing.routers.hidden_state import HiddenStateRouter
from slm_orchestration.routing.strategy import fit_table
from tests.routing.tables_by_hand import matrix


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
    states = Recorded(np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32), *[np.zeros(40)] * 3)
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
