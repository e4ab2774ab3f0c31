import json

import numpy as np
import pandas as pd

from slm_orchestration.outcomes.confidence import calibrate_confidence
from slm_orchestration.statistics.grid import on_grid


def _outcomes(tasks: int = 400) -> pd.DataFrame:
    """Answers whose chance of being right is the share of the first label among both."""
    rng = np.random.default_rng(0)
    first = rng.uniform(0.5, 1.0, tasks)
    return pd.DataFrame(
        {
            "task_id": [str(row) for row in range(tasks)],
            "group": [str(row) for row in range(tasks)],
            "split": np.where(np.arange(tasks) < tasks // 2, "fit", "evaluation"),
            "model": "small",
            "repeat": 0,
            "quality": (rng.random(tasks) < first).astype(float),
            "signals": [json.dumps({"label:A": 0.9 * p, "label:B": 0.9 * (1 - p), "label_mass": 0.9}) for p in first],
            "confidence": None,
            "finish_reason": "choice",
            "truth": first,
        }
    )


def test_confidence_comes_close_to_the_chance_of_being_right():
    outcomes = _outcomes(4000)
    calibrated = calibrate_confidence(outcomes)
    assert np.abs(calibrated["confidence"] - outcomes["truth"]).mean() < 0.03


def test_confidence_never_depends_on_the_quality_of_tasks_outside_the_fit_split():
    outcomes = _outcomes()
    flipped = outcomes.assign(
        quality=np.where(outcomes["split"] == "fit", outcomes["quality"], 1 - outcomes["quality"])
    )
    assert calibrate_confidence(outcomes)["confidence"].equals(calibrate_confidence(flipped)["confidence"])


def test_the_confidence_of_a_fit_task_does_not_know_its_own_quality():
    outcomes = _outcomes()
    changed = outcomes.copy()
    changed.loc[3, "quality"] = 1 - changed.loc[3, "quality"]
    assert calibrate_confidence(outcomes)["confidence"][3] == calibrate_confidence(changed)["confidence"][3]


def test_failed_calls_and_models_without_fit_tasks_have_no_confidence():
    outcomes = _outcomes().assign(split="evaluation")
    assert calibrate_confidence(outcomes)["confidence"].isna().all()
    failed = _outcomes().assign(quality=np.nan)
    assert calibrate_confidence(failed)["confidence"].isna().all()


def test_a_model_that_is_always_right_gets_a_smoothed_confidence():
    outcomes = _outcomes(20).assign(quality=1.0)
    evaluation = calibrate_confidence(outcomes)["confidence"][10:]
    assert (evaluation == on_grid(11 / 12)).all()


def test_a_confidence_that_came_without_signals_is_calibrated_like_one():
    outcomes = _outcomes(4000)
    sure = outcomes["truth"] ** 2  # always too low
    calibrated = calibrate_confidence(outcomes.assign(signals=None, confidence=sure))
    assert np.abs(calibrated["confidence"] - outcomes["truth"]).mean() < 0.03
