"""Other splits of the same tasks."""

import numpy as np

from slm_orchestration.studies.refits import resplit
from tests.routing.tables_by_hand import matrix


def test_whole_groups_are_assigned_in_the_shares_of_the_splits():
    outcomes = matrix([[0.0, 1.0]] * 120)
    outcomes.tasks["group"] = [f"group {row // 2}" for row in range(120)]
    again = resplit(outcomes, np.random.default_rng(0))
    assert again.tasks["split"].value_counts().to_dict() == {"evaluation": 60, "fit": 36, "calibration": 24}
    assert (again.tasks.groupby("group")["split"].nunique() == 1).all()
    assert again.tasks["split"].tolist() == resplit(outcomes, np.random.default_rng(0)).tasks["split"].tolist()
    assert again.tasks["split"].tolist() != resplit(outcomes, np.random.default_rng(1)).tasks["split"].tolist()
