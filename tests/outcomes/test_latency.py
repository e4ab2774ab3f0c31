from dataclasses import replace

import pandas as pd
import pytest

from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.outcomes.latency import (
    fit_expectation,
    fit_profile,
    measure_calls,
    price_outcomes,
    read_profile,
    write_profile,
)
from tests.outcomes.test_collect import TASKS


def calls(rows: list[tuple[int, int, int, float, bool]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["calls", "prompt_tokens", "later_tokens", "seconds", "held_out"])


# 1 s a call, 0.1 s a prompt token, 0.5 s a token after the first.
EXACT = [(1, 10, 0, 2.0, False), (1, 20, 0, 3.0, False), (1, 10, 4, 4.0, False), (1, 30, 2, 5.0, False)]
PROFILE = pd.DataFrame(
    {
        "model": ["small", "small"],
        "concurrency": ["one", "saturated"],
        "fixed_s": [1.0, 0.0],
        "prefill_s_per_token": [0.1, 0.01],
        "decode_s_per_token": [0.5, 0.05],
        "device": "cpu",
        "threads": 4,
    }
)
PRICES = pd.DataFrame({"device": ["cpu", "gpu"], "threads": [2.0, None], "usd_per_hour": [7.2, 3.6]})


def test_the_fit_recovers_the_parameters_of_exact_calls():
    found = fit_profile(calls([*EXACT, (1, 40, 2, 6.0, True)]))
    assert found["fixed_s"] == pytest.approx(1.0)
    assert found["prefill_s_per_token"] == pytest.approx(0.1)
    assert found["decode_s_per_token"] == pytest.approx(0.5)
    assert (found["training_calls"], found["heldout_calls"]) == (4, 1)


def test_the_error_is_the_median_of_held_out_calls():
    # Predicted 6 s each; measured 6, 5 and 8: off by 0, 20 % and 25 %.
    held_out = [(1, 40, 2, seconds, True) for seconds in (6.0, 5.0, 8.0)]
    assert fit_profile(calls([*EXACT, *held_out]))["heldout_error"] == pytest.approx(0.2)


def test_latency_is_that_of_a_single_call_and_cost_that_of_a_full_batch():
    outcomes = pd.DataFrame(
        {
            "model": "small",
            "prompt_tokens": [100, None],
            "completion_tokens": [3, None],
            "latency_s": None,
            "latency_source": None,
            "device_s": None,
            "cost_usd": None,
        }
    )
    priced = price_outcomes(outcomes, PROFILE, PRICES)
    # A single call takes 1 + 10 + 1 seconds; in a full batch 1 + 0.1. Two threads cost 7.2 USD an hour, so four cost
    # 0.004 USD a second.
    assert priced["latency_s"][0] == pytest.approx(12.0)
    assert priced["device_s"][0] == pytest.approx(1.1)
    assert priced["cost_usd"][0] == pytest.approx(0.0044)
    assert priced["latency_source"][0] == "modelled"
    assert priced.loc[1, ["latency_s", "device_s", "cost_usd", "latency_source"]].isna().all()


def test_a_model_that_was_never_timed_is_named():
    outcomes = pd.DataFrame({"model": ["large"], "prompt_tokens": [1], "completion_tokens": [1]})
    with pytest.raises(ValueError, match="0 rows for large at concurrency one"):
        price_outcomes(outcomes, PROFILE, PRICES)


def test_measuring_gives_training_and_held_out_calls_of_both_kinds():
    measured = measure_calls(ScriptedModel("small", default="A B"), TASKS * 10, rows=3, seed=0)
    assert measured.groupby(["concurrency", "held_out"]).size().to_dict() == {
        ("one", False): 20,
        ("one", True): 8,
        ("saturated", False): 6,
        ("saturated", True): 2,
    }
    assert set(measured.loc[measured["concurrency"] == "saturated", "calls"]) == {3}


def test_a_profile_is_written_sorted_and_read_back(tmp_path):
    assert read_profile(tmp_path / "none.csv").empty
    full = PROFILE.assign(
        training_calls=20,
        heldout_calls=8,
        heldout_error=0.1,
        measured_on="2026-11-22",
        load_before=0.1,
        processor="made",
        dtype="float32",
    ).assign(torch="2.0", transformers="5.0")
    write_profile(full.iloc[::-1], tmp_path / "profile.csv")
    assert read_profile(tmp_path / "profile.csv")["concurrency"].tolist() == ["one", "saturated"]


def test_a_call_is_expected_to_take_the_seconds_and_dollars_of_its_expected_tokens():
    # Prompts of 10 and 20 characters took 6 and 11 tokens: 1 + 0.5 a character. Free answers took 5 tokens on average.
    tasks = [replace(task, messages=[{"role": "user", "content": "x" * 10 * n}]) for n, task in enumerate(TASKS[:3], 1)]
    outcomes = pd.DataFrame(
        {
            **{"task_id": [task.task_id for task in tasks[:2]], "model": "small", "split": "fit", "quality": 1.0},
            **{"prompt_tokens": [6, 11], "completion_tokens": [4, 6], "finish_reason": "stop"},
        }
    )
    expectation = fit_expectation(outcomes, tasks, ["small"], profile=PROFILE, prices=PRICES)
    asked = [tasks[2], replace(tasks[2], choices=None, max_tokens=99), replace(tasks[2], choices=None, max_tokens=3)]
    seconds, dollars = expectation.before_call(asked)
    # 16 prompt tokens: 1 + 1.6 seconds, and 0.5 for each of 0, 4 and 2 later tokens; a tenth of that, without the
    # fixed second, in a full batch at 0.004 USD a second.
    assert seconds[:, 0] == pytest.approx([2.6, 4.6, 3.6])
    assert dollars[:, 0] == pytest.approx([0.16 * 0.004, 0.36 * 0.004, 0.26 * 0.004])
    assert expectation.cost_usd(0, 16, 5) == pytest.approx(0.36 * 0.004)
    with pytest.raises(ValueError, match="0 rows for large at concurrency one"):
        fit_expectation(outcomes, tasks, ["large"], profile=PROFILE, prices=PRICES)
