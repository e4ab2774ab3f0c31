"""Other splits of the same tasks."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing.operating_point import Retention
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.references import Constant
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.routers.regression import RegressionRouter
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.studies.refits import cost_share_at, fold_splits, refit, resplit
from tests.routing.routers.by_hand import analysis
from tests.routing.tables_by_hand import matrix


def test_whole_groups_are_assigned_in_the_shares_of_the_splits():
    outcomes = matrix([[0.0, 1.0]] * 120)
    outcomes.tasks["group"] = [f"group {row // 2}" for row in range(120)]
    again = resplit(outcomes, np.random.default_rng(0))
    assert again.tasks["split"].value_counts().to_dict() == {"evaluation": 60, "fit": 36, "calibration": 24}
    assert (again.tasks.groupby("group")["split"].nunique() == 1).all()
    assert again.tasks["split"].tolist() == resplit(outcomes, np.random.default_rng(0)).tasks["split"].tolist()
    assert again.tasks["split"].tolist() != resplit(outcomes, np.random.default_rng(1)).tasks["split"].tolist()


def test_each_task_is_an_evaluation_task_in_one_fold_and_groups_stay_together():
    outcomes = matrix([[0.0, 1.0]] * 200)
    outcomes.tasks["group"] = [f"group {row // 2}" for row in range(200)]
    splits = list(fold_splits(outcomes, 5, np.random.default_rng(0)))
    reported = [task for split in splits for task in split.where("evaluation").tasks["task_id"]]
    assert sorted(reported) == sorted(outcomes.tasks["task_id"])
    for split in splits:
        assert split.tasks["split"].value_counts().to_dict() == {"fit": 60, "calibration": 40, "evaluation": 40}
        assert (split.tasks.groupby("group")["split"].nunique() == 1).all()


def test_whole_datasets_can_be_left_out_and_fit_tasks_limited():
    outcomes = matrix([[0.0, 1.0]] * 200)
    outcomes.tasks["dataset"] = [f"dataset {row % 10}" for row in range(200)]
    for split in fold_splits(outcomes, 5, np.random.default_rng(0), by="dataset", fit_tasks=20):
        assert split.tasks["split"].value_counts().to_dict() == {"fit": 20, "calibration": 40, "evaluation": 40}
        seen = set(split.where("fit").tasks["dataset"]) | set(split.where("calibration").tasks["dataset"])
        assert not seen & set(split.where("evaluation").tasks["dataset"])
    with pytest.raises(ValueError, match="5 folds leave 160 groups, and 240 are to be fit and calibration"):
        next(fold_splits(outcomes, 5, np.random.default_rng(0), fit_tasks=200))


def test_more_folds_than_there_are_values_to_deal_are_refused():
    outcomes = matrix([[0.0, 1.0]] * 40, domains=["logic", "code"] * 20)
    with pytest.raises(ValueError, match="folds=5: the tasks have only 2 values of 'domain' to be dealt into folds"):
        next(fold_splits(outcomes, 5, np.random.default_rng(0), by="domain"))


def test_a_fold_on_which_the_most_expensive_model_is_never_right_has_no_retention():
    outcomes = resplit(matrix([[1.0, 0.0]] * 40), np.random.default_rng(0))
    points, _ = refit(outcomes, Constant(), Retention(0.95), [0.0, 1.0], lambda *_: Overhead())
    assert points["quality"].tolist() == [1.0, 0.0] and points["retention"].isna().all()


def test_the_cost_at_which_a_quality_is_reached_is_that_of_mixing_two_thresholds():
    curve = pd.DataFrame(
        {"threshold": [0.0, 0.5, 1.0] * 2, "quality": [0.9, 0.6, 0.2] * 2, "cost_share": [1.0, 0.4, 0.1] * 2}
    )
    assert cost_share_at(curve, 0.75) == pytest.approx(0.7)
    assert cost_share_at(curve, 0.1) == 0.1
    assert np.isnan(cost_share_at(curve, 0.95))


def test_a_refit_reports_the_gain_at_many_costs_beside_the_operating_point():
    rng = np.random.default_rng(0)
    hard = rng.random(300) < 0.5
    quality = [[0.0, 0.0, 1.0] if one else [1.0, 1.0, 1.0] for one in hard]
    questions = ["Prove it, step by step, in full." if one else "Is it?" for one in hard]
    outcomes = matrix(quality, questions=questions)
    outcomes.tasks["guess_quality"] = np.nan
    strategy = RoutedStrategy("s", RegressionRouter(analysis(), LogisticQuality((0.3,))), Utility())
    points, curve = refit(
        resplit(outcomes, rng), strategy, Retention(0.95), [0.0, 0.2, 0.5, 1.0], lambda *_: Overhead()
    )
    row = points.iloc[0]
    assert row["retention"] == 1.0 and row["gain_over_mixture"] > 0.1  # no answer without a model is known here
    assert curve["cost_share"].between(0, 1).all() and curve["tasks"].eq(150).all()
    assert 0.05 < row["mean_gain"] < row["gain_over_mixture"]
