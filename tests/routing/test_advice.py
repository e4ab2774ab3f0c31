"""Advice on outcomes whose truth is known: routing pays, or does not, and drift is there, or is not."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.reader import ImportedError, Selection, read_imported, read_new
from slm_orchestration.studies.advice import Target, advise, verdict
from slm_orchestration.studies.drift import alarms, drift_text

TARGET = Target(resamples=300)


def outcomes(folder, name, *, told: bool, tasks: int = 800, large: float = 0.95):
    """`told`: the prompt says whether the small model is right, as half of the time it is; else only chance knows."""
    rng = np.random.default_rng(len(name))
    easy = rng.random(tasks) < 0.5
    word = np.where(easy if told else rng.random(tasks) < 0.5, "add the numbers", "prove the theorem")
    shared = {"task_id": [f"{name}{number}" for number in range(tasks)]}
    shared["prompt"] = [f"{words} {rng.integers(10**9)} {rng.integers(10**9)}" for words in word]
    small = pd.DataFrame({**shared, "model": "small", "quality": easy * 0.95, "cost_usd": 1.0})
    dear = pd.DataFrame({**shared, "model": "large", "quality": large, "cost_usd": 10.0})
    path = folder / f"{name}.csv"
    pd.concat([small, dear]).to_csv(path, index=False)
    return path


def test_routing_pays_where_prompts_tell_and_not_where_they_do_not(tmp_path):
    told = advise(read_imported(outcomes(tmp_path, "told", told=True)), TARGET)
    assert verdict(told) == "better"
    assert told.points[told.strategy].guaranteed
    assert told.estimate("retention")["estimate"] >= 0.95
    # Half of the tasks go to a model of a tenth of the price: 10 / (0.5 · 1 + 0.5 · 10).
    assert told.estimate("cost_saving")["estimate"] == pytest.approx(10 / 5.5, rel=0.1)
    assert told.estimate("cost_saving", "mixture")["estimate"] < 1.3
    untold = advise(read_imported(outcomes(tmp_path, "untold", told=False)), TARGET)
    assert verdict(untold) != "better"
    assert "not shown to beat" in str(untold) or "WORSE" in str(untold) or "undecided" in str(untold)


def test_without_prompts_the_mixture_is_what_is_left(tmp_path):
    path = outcomes(tmp_path, "told", told=True)
    pd.read_csv(path).drop(columns="prompt").to_csv(path, index=False)
    advice = advise(read_imported(path), TARGET)
    assert (advice.strategy, verdict(advice)) == ("mixture", "no router")
    assert "no router can be fitted" in str(advice)
    assert "they read prompts" in str(advice)


def test_equal_seeds_give_equal_advice(tmp_path):
    imported = read_imported(outcomes(tmp_path, "told", told=True, tasks=300))
    assert str(advise(imported, TARGET)) == str(advise(imported, TARGET))


def test_drift_rings_where_tasks_or_quality_changed_and_is_quiet_where_they_did_not(tmp_path):
    advice = advise(read_imported(outcomes(tmp_path, "told", told=True)), TARGET)
    same = read_new(outcomes(tmp_path, "same", told=True, tasks=300), advice.imported, Selection())
    assert [look.rings for look in alarms(advice, same)] == [False, False, False]
    misled = read_new(outcomes(tmp_path, "untold", told=False, tasks=300), advice.imported, Selection())
    assert {look.what: look.rings for look in alarms(advice, misled)}["retention"]
    prompts = tmp_path / "prompts.csv"
    pd.DataFrame({"task_id": range(200), "prompt": [f"prove the theorem {n}" for n in range(200)]}).to_csv(prompts)
    asked = read_new(prompts, advice.imported, Selection())
    looks = alarms(advice, asked)
    assert {look.what: look.rings for look in looks}["predicted gain of the dearest model"]
    assert "ALARM" in drift_text(looks, len(asked.tasks))


def test_new_data_without_a_model_of_the_pool_or_without_anything_is_refused(tmp_path):
    known = read_imported(outcomes(tmp_path, "told", told=True, tasks=100))
    path = outcomes(tmp_path, "new", told=True, tasks=20)
    pd.read_csv(path).query("model == 'small'").to_csv(path, index=False)
    with pytest.raises(ImportedError, match="no outcomes of 'large'"):
        read_new(path, known, Selection())
    pd.DataFrame({"task_id": ["a"]}).to_csv(path, index=False)
    with pytest.raises(ImportedError, match="needs task_id and prompt"):
        read_new(path, known, Selection())
