"""Advice on outcomes whose truth is known: routing pays, or does not."""

from dataclasses import replace

import pandas as pd
import pytest

from experiments.advise import main
from experiments.setup.config import load_config
from slm_orchestration.outcomes.imported.reader import ImportedError, ImportOptions, read_imported, read_new_tasks
from slm_orchestration.studies.advice import advise, verdict
from slm_orchestration.studies.advice_choice import AdviceSettings
from slm_orchestration.studies.advice_text import headline, text
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
    assert headline(untold) == ["No router is needed: large alone, the model of the best quality."]


def test_without_prompts_the_mixture_is_what_is_left(tmp_path):
    path = outcomes(tmp_path, "told", informative=True)
    pd.read_csv(path).drop(columns="prompt").to_csv(path, index=False)
    advice = advise(read_imported(path), TARGET)
    assert (advice.strategy, verdict(advice)) == ("mixture", "no router")
    assert "no router can be fitted" in text(advice)
    assert "they read prompts" in text(advice)


def test_the_threshold_and_the_words_follow_the_aim(tmp_path):
    # The large model is worth .8 on all tasks, the small one .95 on half of them and nothing on the others, at 1 of 10.
    imported = read_imported(outcomes(tmp_path, "told", informative=True, large=0.8))
    best = advise(imported, replace(TARGET, aim="best_quality"))
    assert best.estimate("quality")["estimate"] == pytest.approx((0.95 + 0.8) / 2, abs=0.02)
    assert "highest quality on calibration tasks at any cost, WITHOUT a guarantee" in words(best)
    assert "keeps at least" not in words(best)
    same = advise(imported, replace(TARGET, aim="same_quality"))
    assert same.estimate("retention")["estimate"] >= 1
    assert "cheapest that keeps the most expensive model's quality on calibration tasks, WITHOUT a" in words(same)
    # Routing pays .5 · 1 + .5 · 10 = 5.5 of 10; with less, only some of the hard tasks can be sent to the large model.
    spent = advise(imported, replace(TARGET, aim="budget", budget_share=0.4))
    assert 1 <= spent.estimate("cost_usd")["estimate"] <= 4.4
    assert "highest quality for at most 0.4 of the most expensive model's cost on calibration tasks" in words(spent)
    enough = advise(imported, replace(TARGET, aim="budget", budget_share=0.7))
    assert enough.estimate("cost_usd")["estimate"] == pytest.approx(5.5, abs=0.5)
    assert not any(point.guaranteed for one in (best, same, spent, enough) for point in one.points.values())


def words(advice):
    """Return the advice without line breaks."""
    return " ".join(text(advice).split())


def test_an_unknown_aim_is_refused_before_the_file_is_read():
    with pytest.raises(ValueError, match=r"^aim=thrift: allowed is retention or same_quality or budget or best_q\w+$"):
        main(load_config("outcomes=none.csv", "aim=thrift", config="advise"))
    with pytest.raises(ValueError, match=r"^budget_share=2: allowed is a number from 0 to 1$"):
        main(load_config("outcomes=none.csv", "aim=budget", "budget_share=2", config="advise"))


def test_the_command_prints_the_advice_for_an_aim(tmp_path, capsys):
    path = outcomes(tmp_path, "told", informative=True, tasks=200)
    main(load_config(f"outcomes={path}", "aim=budget", "budget_share=0.3", "statistics=quick", config="advise"))
    assert "highest quality for at most 0.3 of the most expensive" in capsys.readouterr().out


def test_equal_seeds_give_equal_advice(tmp_path):
    imported = read_imported(outcomes(tmp_path, "told", informative=True, tasks=300))
    assert text(advise(imported, TARGET)) == text(advise(imported, TARGET))


def test_new_data_without_a_model_of_the_pool_or_without_anything_is_refused(tmp_path):
    known = read_imported(outcomes(tmp_path, "told", informative=True, tasks=100))
    path = outcomes(tmp_path, "new", informative=True, tasks=20)
    pd.read_csv(path).query("model == 'small'").to_csv(path, index=False)
    with pytest.raises(ImportedError, match="no outcomes of 'large'"):
        read_new_tasks(path, known, ImportOptions())
    pd.DataFrame({"task_id": ["a"]}).to_csv(path, index=False)
    with pytest.raises(ImportedError, match="needs task_id and prompt"):
        read_new_tasks(path, known, ImportOptions())
