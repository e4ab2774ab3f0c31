"""Advice on outcomes whose truth is known: routing pays, or does not, and drift is there, or is not."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.reader import ImportedError, ImportOptions, read_imported, read_new_tasks
from slm_orchestration.studies.advice import AdviceSettings, advise, verdict
from slm_orchestration.studies.drift import drift_tests, drift_text

TARGET = AdviceSettings(resamples=300)


def outcomes(folder, name, *, informative: bool, tasks: int = 800, large: float = 0.95):
    """The small model is right half of the time; with `informative`, the prompt tells when."""
    rng = np.random.default_rng(len(name))
    easy = rng.random(tasks) < 0.5
    word = np.where(easy if informative else rng.random(tasks) < 0.5, "add the numbers", "prove the theorem")
    shared = {"task_id": [f"{name}{number}" for number in range(tasks)]}
    shared["prompt"] = [f"{words} {rng.integers(10**9)} {rng.integers(10**9)}" for words in word]
    small = pd.DataFrame({**shared, "model": "small", "quality": easy * 0.95, "cost_usd": 1.0})
    large_rows = pd.DataFrame({**shared, "model": "large", "quality": large, "cost_usd": 10.0})
    path = folder / f"{name}.csv"
    pd.concat([small, large_rows]).to_csv(path, index=False)
    return path


def test_routing_pays_where_prompts_tell_and_not_where_they_do_not(tmp_path):
    told = advise(read_imported(outcomes(tmp_path, "told", informative=True)), TARGET)
    assert verdict(told) == "better"
    assert told.points[told.strategy].guaranteed
    assert told.estimate("retention")["estimate"] >= 0.95
    # Half of the tasks go to a model of a tenth of the price: 10 / (0.5 · 1 + 0.5 · 10).
    assert told.estimate("cost_saving")["estimate"] == pytest.approx(10 / 5.5, rel=0.1)
    assert told.estimate("cost_saving", "mixture")["estimate"] < 1.3
    untold = advise(read_imported(outcomes(tmp_path, "untold", informative=False)), TARGET)
    assert verdict(untold) != "better"
    assert "not shown to beat" in str(untold) or "WORSE" in str(untold) or "undecided" in str(untold)


def test_without_prompts_the_mixture_is_what_is_left(tmp_path):
    path = outcomes(tmp_path, "told", informative=True)
    pd.read_csv(path).drop(columns="prompt").to_csv(path, index=False)
    advice = advise(read_imported(path), TARGET)
    assert (advice.strategy, verdict(advice)) == ("mixture", "no router")
    assert "no router can be fitted" in str(advice)
    assert "they read prompts" in str(advice)


def test_equal_seeds_give_equal_advice(tmp_path):
    imported = read_imported(outcomes(tmp_path, "told", informative=True, tasks=300))
    assert str(advise(imported, TARGET)) == str(advise(imported, TARGET))


def test_drift_is_significant_where_tasks_or_quality_changed_and_not_elsewhere(tmp_path):
    advice = advise(read_imported(outcomes(tmp_path, "told", informative=True)), TARGET)
    same = read_new_tasks(outcomes(tmp_path, "same", informative=True, tasks=300), advice.imported, ImportOptions())
    assert [test.significant for test in drift_tests(advice, same)] == [False, False, False]
    misled = read_new_tasks(
        outcomes(tmp_path, "untold", informative=False, tasks=300), advice.imported, ImportOptions()
    )
    assert {test.what: test.significant for test in drift_tests(advice, misled)}["retention"]
    prompts = tmp_path / "prompts.csv"
    pd.DataFrame({"task_id": range(200), "prompt": [f"prove the theorem {n}" for n in range(200)]}).to_csv(prompts)
    asked = read_new_tasks(prompts, advice.imported, ImportOptions())
    tests = drift_tests(advice, asked)
    assert {test.what: test.significant for test in tests}["predicted gain of the most expensive model"]
    assert "CHANGED" in drift_text(tests, len(asked.tasks))


def test_new_data_without_a_model_of_the_pool_or_without_anything_is_refused(tmp_path):
    known = read_imported(outcomes(tmp_path, "told", informative=True, tasks=100))
    path = outcomes(tmp_path, "new", informative=True, tasks=20)
    pd.read_csv(path).query("model == 'small'").to_csv(path, index=False)
    with pytest.raises(ImportedError, match="no outcomes of 'large'"):
        read_new_tasks(path, known, ImportOptions())
    pd.DataFrame({"task_id": ["a"]}).to_csv(path, index=False)
    with pytest.raises(ImportedError, match="needs task_id and prompt"):
        read_new_tasks(path, known, ImportOptions())
