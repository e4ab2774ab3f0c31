"""Advice on outcomes whose truth is known: routing pays, or does not."""

import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.reader import ImportedError, ImportOptions, read_imported, read_new_tasks
from slm_orchestration.studies.advice import AdviceSettings, advise, verdict
from tests.studies.by_hand import outcomes

TARGET = AdviceSettings(resamples=300)


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


def test_new_data_without_a_model_of_the_pool_or_without_anything_is_refused(tmp_path):
    known = read_imported(outcomes(tmp_path, "told", informative=True, tasks=100))
    path = outcomes(tmp_path, "new", informative=True, tasks=20)
    pd.read_csv(path).query("model == 'small'").to_csv(path, index=False)
    with pytest.raises(ImportedError, match="no outcomes of 'large'"):
        read_new_tasks(path, known, ImportOptions())
    pd.DataFrame({"task_id": ["a"]}).to_csv(path, index=False)
    with pytest.raises(ImportedError, match="needs task_id and prompt"):
        read_new_tasks(path, known, ImportOptions())
