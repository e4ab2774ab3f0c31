"""Models that answered different tasks: which ones to leave out, and what is dropped on request."""

import pandas as pd

from slm_orchestration.outcomes.imported.coverage import well_covered
from slm_orchestration.outcomes.imported.reader import ImportOptions, read_imported
from tests.outcomes.imported.by_hand import refusal, rows, written


def three(tasks_of_c: int) -> pd.DataFrame:
    third = rows()[lambda f: f["model"] == "a"].assign(model="c").head(tasks_of_c)
    return pd.concat([rows(), third])


def test_the_model_whose_absence_keeps_most_tasks_is_proposed():
    assert well_covered(three(20), ["a", "b", "c"]) == [(["c"], 60)]
    assert well_covered(three(60), ["a", "b", "c"]) == []
    assert well_covered(three(58), ["a", "b", "c"]) == []  # two tasks more are not worth a model


def test_the_refusal_says_how_many_tasks_each_choice_keeps(tmp_path):
    message = refusal(written(tmp_path, three(20)))
    assert "only the 20 tasks that all 3 models answered; without c it is 60 tasks" in message
    assert len(read_imported(tmp_path / "my.csv", ImportOptions(models=("a", "b"))).tasks) == 60


def test_tasks_without_costs_are_dropped_on_request(tmp_path):
    frame = rows(cost_usd=0.5)
    frame.loc[[4, 11], "cost_usd"] = None
    path = written(tmp_path, frame)
    assert "unanswered=drop leaves out tasks without them" in " ".join(read_imported(path).remarks)
    dropped = read_imported(path, ImportOptions(unanswered="drop"))
    assert (len(dropped.tasks), dropped.cost_unit) == (58, "usd")
    assert "2 of 60 tasks dropped, as the cost of some model is missing" in dropped.remarks
