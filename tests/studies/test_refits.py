"""Other splits of the same tasks."""

import numpy as np

from slm_orchestration.routing.operating_point import Retention
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.routers.regression import RegressionRouter
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.studies.refits import fold_splits, refit, resplit
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


def test_a_refit_reports_the_gain_at_many_costs_beside_the_operating_point():
    rng = np.random.default_rng(0)
    hard = rng.random(300) < 0.5
    quality = [[0.0, 0.0, 1.0] if one else [1.0, 1.0, 1.0] for one in hard]
    questions = ["Prove it, step by step, in full." if one else "Is it?" for one in hard]
    outcomes = matrix(quality, questions=questions)
    outcomes.tasks["guess_quality"] = np.nan
    strategy = RoutedStrategy("s", RegressionRouter(analysis(), LogisticQuality((0.3,))), Utility())
    [row] = refit(resplit(outcomes, rng), strategy, Retention(0.95), [0.0, 0.2, 0.5, 1.0], lambda *_: Overhead())
    assert row["retention"] == 1.0 and row["gain_over_mixture"] > 0.1
    assert 0.05 < row["mean_gain"] < row["gain_over_mixture"]
