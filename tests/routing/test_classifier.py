import numpy as np
import pytest

from slm_orchestration.routing.classifier import Classifier, with_classifier
from slm_orchestration.routing.features import WideVectors
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.predictors import Forest, PerModel
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.routing.strategy import PRIVILEGES, declared, shown
from tests.routing.routers.by_hand import IS_HARD, QUESTIONS
from tests.routing.tables_by_hand import matrix

COUNT = len(QUESTIONS)
PAID = Overhead(latency_s=0.1, cost_usd=0.5, device_s=0.2)


def classifier() -> Classifier:
    parts = {"forest": Forest(20, 4, 0.5, 8, seed=0), "linear": PerModel(LogisticQuality((0.3,)), 8)}
    return Classifier(WideVectors(8, seed=0), parts)


def outcomes(*, labelled: bool = True):
    made = matrix([[0.0, 0.0]] * COUNT, questions=QUESTIONS)
    if labelled:
        made.tasks["choices"] = [["A", "B"]] * (COUNT - 2) + [None, ["C", "D"]]
        made.tasks["reference"] = np.where(IS_HARD, "B", "A")
    return made


def test_it_answers_choice_tasks_from_their_text_at_no_cost_and_guesses_the_rest():
    table = outcomes()
    fitted = classifier().fit(table, table)
    replayed = replay("classifier", fitted.choose(table, np.array([0.5]))["classifier"], table, overhead=Overhead())
    assert replayed.quality[0, : COUNT - 2].mean() > 0.95
    assert replayed.quality[0, COUNT - 2] == 0.25  # a free task: the guess
    assert replayed.quality[0, COUNT - 1] == 0.0  # no label of its choices was ever right
    assert replayed.cost_usd.sum() == 0 and not replayed.escalated.any()


def test_it_reads_the_references_of_fit_tasks_only():
    fit, evaluation = outcomes(), outcomes()
    before = classifier().fit(fit, evaluation).answers(evaluation)
    evaluation.tasks["reference"] = "B"
    assert classifier().fit(fit, evaluation).answers(evaluation).equals(before)


def test_as_a_model_of_the_pool_it_is_the_cheapest_and_answers_fit_tasks_that_it_was_not_fitted_on():
    table = outcomes()
    table.tasks["split"] = np.resize(["fit", "fit", "evaluation"], COUNT)
    pool = with_classifier(table, classifier(), overhead=PAID)
    assert pool.models == ("classifier", "small", "large") and pool.small == {"classifier", "small"}
    assert (pool.quality[:, 1:] == 0).all() and pool.quality[: COUNT - 2, 0].mean() > 0.9
    assert pool.cost_usd[0].tolist() == [0.5, 1.0, 10.0]
    answers = pool.answers.iloc[::3]
    assert (answers["model"] == "classifier").all() and answers["confidence"].between(0, 1).all()
    assert pool.answers["model"].iloc[:3].tolist() == list(pool.models)
    # A fit task whose reference contradicts its text is answered by its text.
    row = int(np.flatnonzero(table.tasks["split"] == "fit")[0])
    table.tasks.loc[row, "reference"] = {"A": "B", "B": "A"}[table.tasks.loc[row, "reference"]]
    assert with_classifier(table, classifier(), overhead=PAID).quality[row, 0] == 0


def test_it_chooses_without_seeing_the_references_of_the_tasks_that_it_answers():
    table = outcomes()
    strategy = classifier()
    fitted = strategy.fit(table, table)
    hidden = shown(fitted, declared(strategy), table)
    assert "reference" not in hidden.tasks and not declared(strategy) & PRIVILEGES
    answered = fitted.choose(hidden, np.array([0.5]))["classifier"].own_answers
    assert answered[: COUNT - 2].tolist() == fitted.answers(table)["answer"][: COUNT - 2].tolist()


def test_without_choices_and_references_it_says_so():
    with pytest.raises(NotRecorded, match="choices and references"):
        classifier().fit(outcomes(labelled=False), outcomes(labelled=False))
