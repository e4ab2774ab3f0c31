import numpy as np
import pandas as pd
import pytest

from slm_orchestration import tables
from slm_orchestration.statistics.bootstrap import resample
from slm_orchestration.statistics.sensitivity import robustness, with_datasets_as_units
from slm_orchestration.statistics.strategy_matrix import panel
from tests.statistics.examples import make_decisions, make_tasks, pool


@pytest.fixture(scope="module")
def made():
    tasks = make_tasks(240)
    table = panel(make_decisions(tasks), tasks, pool())
    return table, robustness(
        table, resample(table, resamples=200, seed=0), ranked=["chance", "clever"], seed=0, level=0.95
    )


def test_every_view_stands_in_the_table_for_every_strategy_that_differs(made):
    _, seen = made
    assert set(seen["view"]) == {"datasets_resampled", "mixed_model", "between_domains", "rank", "winner"}
    assert set(seen.loc[seen["view"] == "mixed_model", "strategy"]) == {
        "always_mid", "always_tiny", "chance", "clever", "guess"
    }  # fmt: skip
    assert list(seen.columns) == tables.ROBUSTNESS.names


def test_datasets_are_drawn_whole_and_counted(made):
    table, seen = made
    again = with_datasets_as_units(table).design()
    assert again.stratum.tolist() == [0, 0, 0, 0]
    rows = seen.query("view == 'datasets_resampled' and metric == 'quality'").set_index("strategy")
    assert (rows["units"] == 4).all()
    assert rows.loc["clever", "estimate"] == pytest.approx(table.values["quality"][:, table.column("clever")].mean())
    assert rows["method"].str.contains("fewer than 100 groups").all()


def test_the_mixed_models_effect_is_near_the_plain_difference(made):
    table, seen = made
    row = seen.query("view == 'mixed_model' and strategy == 'clever'").iloc[0]
    quality = table.values["quality"]
    plain = np.mean(quality[:, table.column("clever")] - quality[:, table.column("always_big")])
    assert row["estimate"] == pytest.approx(plain, abs=0.02)


def test_equal_seeds_give_equal_views(made):
    table, seen = made
    parts = resample(table, resamples=200, seed=0)
    again = robustness(table, parts, ranked=["chance", "clever"], seed=0, level=0.95)
    pd.testing.assert_frame_equal(again, seen, check_exact=True)


def test_one_competitor_has_no_rank_and_the_table_says_why():
    tasks = make_tasks(80)
    table = panel(make_decisions(tasks), tasks, pool())
    seen = robustness(table, resample(table, resamples=100, seed=0), ranked=["clever"], seed=0, level=0.95)
    row = seen[seen["view"] == "rank"].iloc[0]
    assert np.isnan(row["estimate"]) and row["method"] == "undefined: ranks need at least 2 strategies, got 1"
