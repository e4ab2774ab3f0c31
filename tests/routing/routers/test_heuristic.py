"""The heuristic router: complexity without a fit."""

import pandas as pd
import pytest

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.routers.heuristic import HeuristicRouter
from tests.routing.routers.by_hand import EASY, HARD, OUTCOMES, QUESTIONS, prompts
from tests.routing.tables_by_hand import matrix


def test_the_heuristic_trusts_the_most_expensive_model_and_doubts_cheaper_ones_of_a_complex_prompt():
    router = HeuristicRouter().fit(fit_table(OUTCOMES))
    easy, hard = router.predict_quality(prompts(EASY, HARD), pd.DataFrame())
    assert easy[2] == hard[2] == 1.0
    assert hard[0] < hard[1] < 1.0
    assert hard[0] < easy[0]


def test_labels_change_nothing():
    wrong = matrix([[0, 0, 0]] * 200, questions=QUESTIONS)
    one, other = (
        HeuristicRouter().fit(fit_table(fit)).predict_quality(prompts(EASY, HARD), pd.DataFrame())
        for fit in (OUTCOMES, wrong)
    )
    assert one.tolist() == other.tolist()
    # the middle of three models is half as weak as the smallest
    assert 1 - one[:, 1] == pytest.approx((1 - one[:, 0]) / 2)
