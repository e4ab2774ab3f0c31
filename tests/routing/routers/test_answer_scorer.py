"""The answer scorer learns from the words of answers."""

import numpy as np
import pytest

from slm_orchestration.routing.access import fit_table, guarded
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.routers.answer_scorer import AnswerScorerRouter
from slm_orchestration.statistics.grid import STEP
from tests.routing.routers.by_hand import OUTCOMES, QUALITY, QUESTIONS, analysis, words
from tests.routing.tables_by_hand import matrix


def test_the_answer_scorer_learns_that_some_answers_are_wrong():
    outcomes = matrix(QUALITY, questions=["same question"] * 200)
    said = np.where(outcomes.quality.ravel() > 0, "certainly yes", "perhaps no")
    outcomes.answers["answer"] = said
    fitted = AnswerScorerRouter(analysis(), words()).fit(fit_table(outcomes))
    predicted = guarded(fitted, outcomes)((0,))[:, 0]
    assert predicted[outcomes.quality[:, 0] == 1].min() > 0.8
    assert predicted[outcomes.quality[:, 0] == 0].max() < 0.2


def test_the_answer_scorer_does_without_confidence_and_tokens_but_not_without_answers():
    outcomes = matrix(QUALITY, questions=QUESTIONS)
    outcomes.answers[["confidence", "completion_tokens"]] = np.nan
    fitted = AnswerScorerRouter(analysis(), words()).fit(fit_table(outcomes))
    assert np.isfinite(guarded(fitted, outcomes)((0,))).all()
    outcomes.answers["answer"] = None
    with pytest.raises(NotRecorded, match="record the column answer"):
        AnswerScorerRouter(analysis(), words()).fit(fit_table(outcomes))


def test_a_model_that_was_not_called_gets_its_mean_quality():
    fitted = AnswerScorerRouter(analysis(), words()).fit(fit_table(OUTCOMES))
    quality = guarded(fitted, OUTCOMES)((0,))
    assert quality[:, 1:] == pytest.approx(np.tile(OUTCOMES.quality.mean(axis=0)[1:], (200, 1)), abs=STEP)


def test_the_length_of_an_answer_alone_can_tell_too():
    outcomes = matrix(QUALITY, questions=["same question"] * 200)
    outcomes.answers["answer"] = "same answer"
    outcomes.answers["completion_tokens"] = np.where(outcomes.quality.ravel() > 0, 1, 100)
    predicted = guarded(AnswerScorerRouter(analysis(), words()).fit(fit_table(outcomes)), outcomes)((0,))[:, 0]
    assert predicted[outcomes.quality[:, 0] == 1].min() > 0.5 > predicted[outcomes.quality[:, 0] == 0].max()
