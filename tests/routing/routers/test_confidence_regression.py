"""The adaptive router on prompts alone, and with the confidence of an answer."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.routers.confidence_regression import ConfidenceRegressionRouter
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from tests.routing.routers.by_hand import EASY, OUTCOMES, QUALITY, QUESTIONS, analysis, prompts
from tests.routing.tables_by_hand import matrix


def test_after_a_confident_answer_it_expects_more_of_the_next_model_and_before_one_it_reads_the_prompt_alone():
    # the prompts say nothing; a confident small model is right, and then the middle one is too
    confidence = [[0.9 if right else 0.1 for right in row] for row in QUALITY]
    fitted = ConfidenceRegressionRouter(analysis()).fit(fit_table(matrix(QUALITY, confidence=confidence)))
    answers = pd.DataFrame({"row": [1, 2], "model": "small", "confidence": [0.1, 0.9]})
    before, doubtful, sure = fitted.predict_quality(prompts(EASY, EASY, EASY), answers)
    assert doubtful[1] < before[1] < sure[1]
    assert (doubtful[0], sure[0]) == (0.1, 0.9)
    assert before.tolist() == fitted.predict_quality(prompts(EASY), answers.iloc[:0])[0].tolist()


def test_adaptive_believes_a_doubtful_answer_over_an_easy_prompt():
    fitted = ConfidenceRegressionRouter(analysis()).fit(fit_table(OUTCOMES))
    answers = pd.DataFrame({"row": [0], "model": ["small"], "confidence": [0.1]})
    quality = fitted.predict_quality(prompts(EASY + " 7"), answers)
    assert quality[0, 0] == 0.1


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_a_fitted_router_bears_models_that_are_always_right_or_wrong(constant):
    outcomes = matrix([[constant] * 3] * 12, questions=QUESTIONS[:12])
    quality = (
        ConfidenceRegressionRouter(analysis())
        .fit(fit_table(outcomes))
        .predict_quality(prompts(EASY), fit_table(outcomes).iloc[:0])
    )
    assert quality[0] == pytest.approx([13 / 14 if constant else 1 / 14] * 3)


def test_adaptive_without_recorded_confidence_chooses_one_model_from_the_prompt():
    outcomes = matrix(QUALITY, questions=QUESTIONS)
    outcomes.answers["confidence"] = np.nan
    fitted = RoutedStrategy("s", ConfidenceRegressionRouter(analysis()), Utility()).fit(outcomes, outcomes)
    assert fitted.router.reads == {"prompt"}
    assert (fitted.choose(outcomes, np.linspace(0, 1, 5))["s"].called.sum(axis=2) == 1).all()


def test_adaptive_reads_the_answers_of_models_whose_confidence_is_recorded():
    outcomes = matrix(QUALITY, questions=QUESTIONS)
    outcomes.answers.loc[outcomes.answers["model"] == "middle", "confidence"] = np.nan
    assert ConfidenceRegressionRouter(analysis()).fit(fit_table(outcomes)).reads == {
        "prompt",
        "answer:small",
        "answer:large",
    }
