"""What an import adds: costs, the order of the models, groups and splits."""

from pathlib import Path

import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.enrichment import order_by_cost, priced_from_tokens, tasks_table
from slm_orchestration.outcomes.imported.reader import ImportedError, ImportOptions, read_imported
from slm_orchestration.outcomes.imported.rows import check_rows
from slm_orchestration.tasks.suite import split_of
from tests.outcomes.imported.by_hand import rows, written

MINE = Path("my.csv")


def _checked(frame):
    return check_rows(frame, MINE)[0]


def test_costs_order_the_models_whatever_their_quality(tmp_path):
    frame = rows()
    frame["cost_usd"] = frame["model"].map({"a": 0.01, "b": 0.001})
    imported = read_imported(written(tmp_path, frame))
    assert (imported.models, imported.small, imported.cost_unit) == (("b", "a"), ("b",), "usd")


def test_costs_that_some_answers_lack_are_not_used_and_counted(tmp_path):
    frame = rows()
    frame["cost_usd"] = frame["model"].map({"a": 0.01, "b": 0.001})
    frame.loc[frame.groupby("model").head(3).index, "cost_usd"] = None
    imported = read_imported(written(tmp_path, frame))
    assert imported.cost_unit == "calls"
    assert f"costs not used: 6 of {len(frame)} answers have none; unanswered=drop" in " ".join(imported.remarks)


def test_costs_follow_from_tokens_where_prices_are_given(tmp_path):
    prices = pd.DataFrame(
        {
            "model": ["a", "b"],
            "usd_per_million_prompt_tokens": [1.0, 10.0],
            "usd_per_million_completion_tokens": [2.0, 20.0],
        }
    )
    path = written(tmp_path, rows(prompt_tokens=100, completion_tokens=50))
    imported = read_imported(path, ImportOptions(token_prices=written(tmp_path, prices, "prices.csv")))
    means = imported.outcomes.groupby("model")["cost_usd"].mean()
    assert means["a"] == pytest.approx(100e-6 + 100e-6)
    assert means["b"] == pytest.approx(10 * means["a"])


def test_near_duplicates_share_a_group_and_so_a_split(tmp_path):
    frame = rows()
    frame["prompt"] = frame["task_id"].map(lambda name: f"{name} is a question about {int(name[1:]) ** 7} horses")
    twins = frame["task_id"].isin(["t03", "t40"])
    frame.loc[twins, "prompt"] = "Which of these nine words is the longest one that begins with a vowel?"
    tasks = read_imported(written(tmp_path, frame)).tasks.set_index("task_id")
    assert tasks.loc["t40", "group"] == tasks.loc["t03", "group"] == "t03"
    assert tasks["group"].nunique() == 59


def test_a_template_is_not_taken_for_one_task(tmp_path):
    frame = rows(200)
    words = " ".join(f"word{number}" for number in range(60))
    frame["prompt"] = "How many primes are there, " + words + ", up to " + frame["task_id"] + "?"
    imported = read_imported(written(tmp_path, frame))
    assert imported.tasks["group"].nunique() == 200
    assert "200 tasks follow templates" in " ".join(imported.remarks)


def test_a_recorded_cost_is_kept_where_prices_would_give_another(tmp_path):
    table = _checked(rows(2, prompt_tokens=1_000_000, completion_tokens=0).assign(cost_usd=[5.0, None, 5.0, None]))
    prices = pd.DataFrame({"model": ["a", "b"], "usd_per_million_prompt_tokens": [1.0, 2.0]})
    path = written(tmp_path, prices.assign(usd_per_million_completion_tokens=0.0), "prices.csv")
    priced, remarks = priced_from_tokens(table, path)
    assert priced["cost_usd"].tolist() == [5.0, 1.0, 5.0, 1.0]
    assert remarks == [f"2 costs derived from tokens and {path}"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="model"), "column 'model' is missing"),
        (lambda f: pd.concat([f, f]), "names a model twice"),
        (lambda f: f.assign(usd_per_million_prompt_tokens=-1.0), "must lie within 0 and infinity"),
        (lambda f: f[f["model"] == "a"], "has no price of 'b'"),
    ],
)
def test_a_price_list_that_cannot_be_used_is_refused(tmp_path, change, said):
    prices = pd.DataFrame(
        {"model": ["a", "b"], "usd_per_million_prompt_tokens": 1.0, "usd_per_million_completion_tokens": 1.0}
    )
    with pytest.raises(ImportedError, match=said):
        priced_from_tokens(_checked(rows(2)), written(tmp_path, change(prices), "prices.csv"))


def test_without_dollars_models_stand_as_asked_small_ones_first_and_calls_are_counted():
    table, tasks = _checked(rows()), tasks_table(_checked(rows()), MINE)[0]
    models, small, unit, remarks = order_by_cost(table, tasks, ["b", "a"], ["a"])
    assert (models, small, unit) == (["a", "b"], ["a"], "calls")
    assert "cost is counted in calls to b" in remarks[0]
    models, small, unit, _ = order_by_cost(table, tasks, ["b", "a"], None)
    assert (models, small) == (["b", "a"], ["b"])


def test_costs_that_are_all_0_are_no_dollars():
    table = _checked(rows(cost_usd=0.0))
    _, _, unit, remarks = order_by_cost(table, tasks_table(table, MINE)[0], None, None)
    assert unit == "calls" and remarks[0] == "every recorded cost is 0"


def test_a_missing_dataset_or_domain_is_named_after_the_other_and_else_after_the_file():
    named = [({"dataset": "d"}, ("d", "d")), ({"domain": "logic"}, ("logic", "logic")), ({}, ("my", "my"))]
    for columns, (dataset, domain) in named:
        tasks, _ = tasks_table(_checked(rows(2, **columns)), Path("folder/my.csv.gz"))
        assert set(zip(tasks["dataset"], tasks["domain"], strict=True)) == {(dataset, domain)}


def test_splits_of_the_file_are_kept_if_all_tasks_have_one_and_else_follow_from_the_group():
    given = _checked(rows(2, split="fit"))
    assert tasks_table(given, MINE)[0]["split"].tolist() == ["fit", "fit"]
    some, remarks = tasks_table(given.assign(split=["fit", "fit", None, None]), MINE)
    assert some["split"].tolist() == [split_of("t00"), split_of("t01")]
    assert "column split not used: some tasks have none" in remarks
