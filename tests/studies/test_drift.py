"""Drift on outcomes whose truth is known: it is there, or is not."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from slm_orchestration.outcomes.imported.reader import ImportOptions, read_imported, read_new_tasks
from slm_orchestration.studies.advice import advise
from slm_orchestration.studies.advice_choice import AdviceSettings
from slm_orchestration.studies.drift import DriftTest, drift_tests, drift_text, later_matrix
from tests.studies.by_hand import outcomes

TARGET = AdviceSettings(resamples=300)


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
    assert {test.what: test.significant for test in tests}["predicted gain of large"]
    assert "CHANGED" in drift_text(tests, len(asked.tasks))


def test_quality_is_tested_against_the_share_that_the_aim_wants_and_not_at_all_where_it_wants_none(tmp_path):
    imported = read_imported(outcomes(tmp_path, "told", informative=True, tasks=300))
    same = read_new_tasks(outcomes(tmp_path, "same", informative=True, tasks=300), imported, ImportOptions())
    kept = drift_tests(advise(imported, replace(TARGET, aim="same_quality")), same)[-1]
    assert kept.what == "retention" and kept.meaning.startswith("less than 100% of large's quality")
    spent = drift_tests(advise(imported, replace(TARGET, aim="budget")), same)
    assert "retention" not in {test.what for test in spent}


def test_confidences_of_new_tasks_are_calibrated_on_the_known_ones_and_not_on_themselves(tmp_path):
    def recorded(name: str, *, right_when_sure: bool) -> Path:
        rows = [
            {"task_id": f"{name}{n}", "model": model, "confidence": 0.9 if n % 2 else 0.1, "cost_usd": cost}
            | {"quality": float(model == "large" or (n % 2 == 1) == right_when_sure)}
            for n in range(200)
            for model, cost in (("small", 1.0), ("large", 10.0))
        ]
        pd.DataFrame(rows).to_csv(tmp_path / f"{name}.csv", index=False)
        return tmp_path / f"{name}.csv"

    known = read_imported(recorded("known", right_when_sure=True))
    new = read_new_tasks(recorded("new", right_when_sure=False), known, ImportOptions())
    found = later_matrix(known, new)
    sure = found.answers["confidence"].to_numpy().reshape(-1, 2)[:, 0]
    wrong = found.quality[:, 0] == 0
    assert wrong.sum() == 100 and sure[wrong].min() > 0.8 > 0.2 > sure[~wrong].max()


def test_the_text_says_what_changed_with_both_means_and_what_to_do():
    same = DriftTest("length", 12.0, 12.5, 0.4, False, "grade some")
    fell = DriftTest("retention", 0.96, 0.8, 0.001, True, "choose the threshold again")
    text = drift_text([same, fell], 1200)
    assert "1,200 new tasks" in text
    assert "no change" in text and "length: 12 before, 12.5 now, p = 0.4." in text
    assert "CHANGED" in text and "retention: 0.96 before, 0.8 now, p = 0.001. choose the threshold again." in text
    assert "grade some" not in text


def test_without_a_test_there_is_nothing_to_compare():
    assert "nothing to compare" in drift_text([], 5)
