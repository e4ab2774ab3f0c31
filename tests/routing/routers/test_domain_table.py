"""The domain table, with the domain predicted from the prompt."""

import pandas as pd
import pytest

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.routers.domain_table import DomainTableRouter
from tests.routing.routers.by_hand import DOMAINS, EASY, HARD, OUTCOMES, QUALITY, QUESTIONS, analysis, prompts, words
from tests.routing.tables_by_hand import matrix


def test_a_prediction_is_the_mean_quality_of_each_domain_weighted_by_its_probability():
    fitted = DomainTableRouter(analysis()).fit(fit_table(OUTCOMES))
    easy, hard = fitted.predict_quality(prompts(EASY, HARD), pd.DataFrame())
    # commonsense is (1, 1, 1) and mathematics (0, 0, 1), so that the small models get P(commonsense)
    assert easy[0] == easy[1] > 0.9 and hard[0] == hard[1] < 0.1
    assert [easy[2], hard[2]] == pytest.approx([1.0, 1.0])


def test_labels_decide_and_not_the_prompts_alone():
    outcomes = matrix(QUALITY, questions=QUESTIONS, domains=[DOMAINS[0], *DOMAINS[:-1]])
    easy, hard = (
        DomainTableRouter(analysis()).fit(fit_table(outcomes)).predict_quality(prompts(EASY, HARD), pd.DataFrame())
    )
    assert abs(easy[0] - hard[0]) < 0.1  # each domain now holds both kinds


def test_of_one_domain_the_means_are_predicted():
    outcomes = matrix([[0, 1, 1], [1, 1, 1], [0, 0, 1], [0, 0, 0]])
    quality = DomainTableRouter(words()).fit(fit_table(outcomes)).predict_quality(prompts(EASY, HARD), pd.DataFrame())
    assert quality.tolist() == [[0.25, 0.5, 0.75]] * 2
