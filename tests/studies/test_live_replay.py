"""Live runs beside their replay, on scripted models and tables that a reader can add up."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration import tables
from slm_orchestration.outcomes.confidence import calibrate_confidence
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.routing.outcome_matrix import outcome_matrix
from slm_orchestration.studies.live_replay import compare, observe, predict, process_all, replay_on, unseen
from slm_orchestration.tasks.task import from_table
from tests.serving.by_hand import LARGE, MIDDLE, NAMES, SMALL, orchestrator, scripted


@pytest.fixture(scope="module")
def tasks(records):
    return tables.read(records / "tasks.parquet", tables.TASKS)


@pytest.fixture(scope="module")
def evaluation(records, tasks):
    rows = tasks[["task_id", "domain", "dataset", "group", "split", "question"]].assign(guess_quality=0.0)
    raw = calibrate_confidence(read_outcomes(records / "outcomes", NAMES))
    return outcome_matrix(raw, rows, NAMES, small=NAMES[:2]).where("evaluation")


def test_unseen_tasks_share_no_group_have_a_known_dataset_and_short_answers():
    everything = pd.DataFrame(
        {
            "task_id": ["same group", "other dataset", "long", "fresh"],
            "group": ["g0", "g1", "g2", "g3"],
            "dataset": ["d", "e", "d", "d"],
            "max_tokens": [8, 8, 9, 8],
        }
    )
    seen = pd.DataFrame({"group": ["g0"], "dataset": ["d"]})
    assert unseen(everything, seen, longest_answer=8)["task_id"].tolist() == ["fresh"]


@pytest.mark.parametrize(("threshold", "model"), [(1.0, 0), (0.0, 2)])
def test_replay_pays_for_the_called_models_and_grades_the_served_one(records, evaluation, threshold, model):
    config = {"routing_strategy": "length", "routing_threshold": threshold}
    ready = orchestrator(records, scripted(), config).prepare()
    replayed = replay_on(evaluation, ready, 3)
    alone = replayed["cost_usd"] == evaluation.cost_usd[:, model]
    # at 1 every task goes to the cheapest model; at 0 the longest prompts go to the most expensive one
    assert alone.all() if threshold == 1 else alone.any()
    assert replayed.loc[alone, "quality"].tolist() == evaluation.quality[alone, model].tolist()
    assert replayed.loc[alone, "latency_s"].tolist() == evaluation.latency_s[alone, model].tolist()


def test_the_prediction_of_a_constant_is_that_constant_and_equal_seeds_give_equal_intervals():
    rng = np.random.default_rng(0)
    replayed = pd.DataFrame({"quality": 0.5, "cost_usd": 2.0, "latency_s": rng.random(400)})
    one, two = (predict(replayed, 400, rng=np.random.default_rng(1)) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    quality, cost, latency = one.to_dict("records")
    assert (quality["predicted"], quality["low"], quality["high"]) == (0.5, 0.5, 0.5)
    assert (cost["low"], cost["high"], cost["from"]) == (2.0, 2.0, 400)
    # the variances of both samples add up: 1/12 · (1/400 + 1/400)
    width = 2 * 1.96 * np.sqrt((1 / 400 + 1 / 400) / 12)
    assert latency["high"] - latency["low"] == pytest.approx(width, rel=0.1)


def test_what_happened_is_a_row_per_task_in_their_order(records, tasks):
    some = from_table(tasks[tasks["split"] == "evaluation"])[:6]
    models = scripted()
    models[SMALL].answers = {task.task_id: task.reference for task in some[:3]}
    with orchestrator(records, models, {"routing_strategy": "length", "routing_threshold": 1}) as running:
        results, seconds = process_all(running, some, 2)
        found = observe(some, results, running.prepare())
    assert seconds > 0
    assert found["task_id"].tolist() == [task.task_id for task in some]
    assert found["quality"].tolist() == [1.0] * 3 + [0.0] * 3
    assert set(found["models_called"]) == {SMALL} and found["same_first_call"].all()
    assert found["expected_latency_s"].tolist() == pytest.approx([0.1] * 6)
    assert found["error"].isna().all()


def test_a_call_that_replay_would_not_start_with_is_seen(records, tasks):
    (task,) = from_table(tasks[tasks["split"] == "evaluation"])[:1]
    cheapest, best = (
        orchestrator(records, scripted(), {"routing_strategy": "length", "routing_threshold": threshold})
        for threshold in (1, 0)
    )
    longer = "why " * 500
    result = best.process_task(longer)
    assert result.model in (MIDDLE, LARGE)
    assert not observe([task], [result], cheapest.prepare())["same_first_call"].item()


def test_a_mean_is_inside_its_interval_or_not():
    predicted = pd.DataFrame(
        [
            {"measure": "quality", "predicted": 0.5, "low": 0.4, "high": 0.6, "from": 9},
            {"measure": "cost_usd", "predicted": 1.0, "low": 0.9, "high": 1.1, "from": 9},
            {"measure": "latency_s", "predicted": 2.0, "low": 1.0, "high": 3.0, "from": 9},
        ]
    )
    observed = pd.DataFrame(
        {
            "concurrency": 1,
            "quality": [1.0, 0.0],
            "cost_usd": [1.0, 2.0],
            "latency_s": [2.0, 4.0],
            "expected_latency_s": [1.0, 4.0],
            "same_first_call": [True, False],
        }
    )
    table = compare(predicted, observed).set_index("measure")
    assert table["observed"].tolist() == [0.5, 1.5, 3.0, 0.5, 0.25]
    assert table["inside"].tolist()[:3] == ["yes", "no", "yes"]
