"""Self-consistency: samples that agree, their price, and labels in their place."""

import dataclasses
import json

import numpy as np

from slm_orchestration.routing.access import fit_table, guarded
from slm_orchestration.routing.outcome_matrix import SideTable
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.routing.routers.self_consistency import SelfConsistencyRouter, agreement
from slm_orchestration.routing.rules import Cascade
from slm_orchestration.routing.strategy import RoutedStrategy
from tests.routing.routers.by_hand import IS_HARD, QUALITY_OF_PAIR
from tests.routing.tables_by_hand import matrix


def _with_samples():
    # an answer that is right is said again four times of five, a wrong one once
    samples = np.empty(200, dtype=object)
    samples[:] = [["A"] + ["B"] * 4 if hard else ["A", "a ", "A.", "A", "B"] for hard in IS_HARD]
    recorded = SideTable(samples, np.full(200, 5.0), np.full(200, 0.5), np.zeros(200))
    return dataclasses.replace(matrix(QUALITY_OF_PAIR), side={"samples:small:5": recorded})


def test_agreement_is_the_share_of_samples_that_say_the_same():
    assert agreement("Paris", ["paris.", " PARIS", "London", "Paris!"]) == 0.5


def test_self_consistency_trusts_what_is_said_again_and_pays_for_every_sample():
    outcomes = _with_samples()
    router = SelfConsistencyRouter("cheapest", samples=5)
    fitted = RoutedStrategy("s", router, Cascade()).fit(outcomes, outcomes)
    choices = fitted.choose(outcomes, np.array([0.5]))["s"]
    assert (choices.called[0, :, 1] == IS_HARD).all()
    paid = replay("s", choices, outcomes, overhead=Overhead())
    # the small call 1 and its samples 5; the large call 10
    assert paid.cost_usd[0].tolist() == [16.0 if hard else 6.0 for hard in IS_HARD]


def test_samples_of_a_model_that_was_not_called_are_not_handed_over():
    outcomes = _with_samples()
    router = SelfConsistencyRouter("small", samples=5)
    seen = []
    router.predict_quality = lambda prompts, answers: (
        seen.append((list(prompts), len(answers))) or np.full((200, 2), 0.5)
    )
    guarded(router, outcomes)(())
    assert seen == [([], 0)]


def test_choices_agree_as_often_as_their_label_is_probable():
    samples = np.empty(200, dtype=object)
    samples[:] = [[] for _ in IS_HARD]
    recorded = SideTable(samples, *np.zeros((3, 200)))
    outcomes = dataclasses.replace(matrix(QUALITY_OF_PAIR), side={"samples:small:5": recorded})
    sure = np.repeat(np.where(IS_HARD, 0.5, 0.9), 2)
    outcomes.answers["signals"] = [json.dumps({"label:A": share, "label:B": 1 - share}) for share in sure]
    router = SelfConsistencyRouter("small", samples=5)
    quality = guarded(router.fit(fit_table(outcomes, router)), outcomes)((0,))
    assert quality[IS_HARD, 0].max() < 0.5 < quality[~IS_HARD, 0].min()
