import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing.outcome_matrix import outcome_matrix


def _outcomes(rows):
    frame = pd.DataFrame(rows, columns=["task_id", "model", "quality", "error"])
    return frame.assign(
        repeat=0,
        cost_usd=1.0,
        latency_s=0.1,
        device_s=0.1,
        answer="A",
        confidence=0.5,
        signals="{}",
        completion_tokens=1,
        finish_reason="stop",
    )


TASKS = pd.DataFrame({"task_id": ["b", "a"], "split": ["fit", "evaluation"], "question": ["?", "?"]})
ROWS = [("a", "large", 1.0, None), ("a", "small", 0.25, None), ("b", "small", 0.5, None), ("b", "large", 0.75, None)]


def test_outcomes_come_in_the_order_of_tasks_and_models():
    matrix = outcome_matrix(_outcomes(ROWS), TASKS, ["small", "large"], small=["small"])
    assert matrix.quality.tolist() == [[0.5, 0.75], [0.25, 1.0]]
    assert matrix.where("evaluation").quality.tolist() == [[0.25, 1.0]]
    assert matrix.take(np.array([1])).answers["model"].tolist() == ["small", "large"]


def test_a_missing_outcome_is_named():
    with pytest.raises(ValueError, match="model 'large' on task 'b'"):
        outcome_matrix(_outcomes(ROWS[:3]), TASKS, ["small", "large"], small=["small"])


def test_a_failed_call_blocks_the_replay_and_is_named():
    rows = [*ROWS[:3], ("b", "large", None, "timed out")]
    with pytest.raises(ValueError, match=r"1 calls failed, first of 'large' on 'b' \(timed out\)"):
        outcome_matrix(_outcomes(rows), TASKS, ["small", "large"], small=["small"])


def test_a_small_model_that_is_not_in_the_pool_is_named():
    with pytest.raises(ValueError, match="'tiny' is declared small"):
        outcome_matrix(_outcomes(ROWS), TASKS, ["small", "large"], small=["tiny"])
