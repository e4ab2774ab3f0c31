"""Bradley-Terry strengths from wins, losses and ties that a reader can count."""

import pandas as pd
import pytest

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.routers.bradley_terry import BradleyTerryRouter
from tests.routing.routers.by_hand import EASY, HARD, OUTCOMES, prompts, words
from tests.routing.tables_by_hand import matrix


def test_bradley_terry_gives_the_most_expensive_model_a_tie_with_itself_and_losers_less():
    quality = (
        BradleyTerryRouter(words(), base=10.0)
        .fit(fit_table(OUTCOMES))
        .predict_quality(prompts(EASY, HARD), pd.DataFrame())
    )
    assert quality[:, 2] == pytest.approx([0.5, 0.5])
    assert (quality[:, :2] < 0.5).all()
    assert quality[1, 0] < quality[0, 0]


def test_bradley_terry_of_two_models_is_the_weighted_share_of_wins():
    # every task is alike, so all weigh the same: the small model wins 1, ties 1 and loses 2 of 4 -> 1.5 wins of 4
    outcomes = matrix([[1, 0], [1, 1], [0, 1], [0, 1]], questions=["same words here"] * 4)
    quality = (
        BradleyTerryRouter(words(), base=10.0)
        .fit(fit_table(outcomes))
        .predict_quality(prompts("same words here"), pd.DataFrame())
    )
    assert quality[0, 0] == pytest.approx(1.5 / 4, abs=1e-3)
