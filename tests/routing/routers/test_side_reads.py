"""Routers that read states, samples or signals: what they learn, what they pay, what they are not shown."""

import dataclasses
import json

import numpy as np
import pytest

from slm_orchestration.routing.access import fit_table, guarded, side_table_keys
from slm_orchestration.routing.outcome_matrix import NotRecorded, SideTable
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.routing.routers.hidden_state import HiddenStateRouter
from slm_orchestration.routing.routers.self_consistency import SelfConsistencyRouter, agreement
from slm_orchestration.routing.routers.self_verification import SelfVerificationRouter
from slm_orchestration.routing.rules import Cascade, Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from tests.routing.tables_by_hand import matrix

RNG = np.random.default_rng(0)
HARD = RNG.random(200) < 0.5
QUALITY = [[0, 1] if hard else [1, 1] for hard in HARD]


def _with_states():
    # the second coordinate of the state says whether the task is hard
    states = RNG.normal(size=(200, 8))
    states[:, 1] = np.where(HARD, 2.0, -2.0) + RNG.normal(size=200)
    recorded = SideTable(states.astype(np.float32), np.full(200, 0.5), np.full(200, 0.05), np.zeros(200))
    return dataclasses.replace(matrix(QUALITY), side={"state:small": recorded})


def _with_samples():
    # an answer that is right is said again four times of five, a wrong one once
    samples = np.empty(200, dtype=object)
    samples[:] = [["A"] + ["B"] * 4 if hard else ["A", "a ", "A.", "A", "B"] for hard in HARD]
    recorded = SideTable(samples, np.full(200, 5.0), np.full(200, 0.5), np.zeros(200))
    return dataclasses.replace(matrix(QUALITY), side={"samples:small:5": recorded})


def test_a_probe_of_states_tells_what_the_small_model_fails():
    outcomes = _with_states()
    router = HiddenStateRouter("cheapest", dimensions=8, seed=0)
    assert side_table_keys(router, outcomes.models) == ["state:small"]
    quality = guarded(router.fit(fit_table(outcomes, router)), outcomes)(())
    assert quality[HARD, 0].mean() < 0.35 and quality[~HARD, 0].mean() > 0.65


def test_a_state_is_paid_before_any_call_and_is_part_of_its_models_own():
    outcomes = _with_states()
    fitted = RoutedStrategy("s", HiddenStateRouter("small", dimensions=8, seed=0), Utility()).fit(outcomes, outcomes)
    paid = replay("s", fitted.choose(outcomes, np.array([0.0, 1.0]))["s"], outcomes, overhead=Overhead())
    large = paid.choices.called[0, :, 1]
    assert large.any()
    # a state costs .5; the large call 10 more, the small one 1 with its state
    assert paid.cost_usd[0, large].tolist() == [10.5] * large.sum()
    assert paid.cost_usd[1].tolist() == [1.0] * 200
    assert paid.latency_s[1].tolist() == pytest.approx([0.1] * 200)


def test_agreement_is_the_share_of_samples_that_say_the_same():
    assert agreement("Paris", ["paris.", " PARIS", "London", "Paris!"]) == 0.5


def test_self_consistency_trusts_what_is_said_again_and_pays_for_every_sample():
    outcomes = _with_samples()
    router = SelfConsistencyRouter("cheapest", samples=5)
    fitted = RoutedStrategy("s", router, Cascade()).fit(outcomes, outcomes)
    choices = fitted.choose(outcomes, np.array([0.5]))["s"]
    assert (choices.called[0, :, 1] == HARD).all()
    paid = replay("s", choices, outcomes, overhead=Overhead())
    # the small call 1 and its samples 5; the large call 10
    assert paid.cost_usd[0].tolist() == [16.0 if hard else 6.0 for hard in HARD]


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
    samples[:] = [[] for _ in HARD]
    recorded = SideTable(samples, *np.zeros((3, 200)))
    outcomes = dataclasses.replace(matrix(QUALITY), side={"samples:small:5": recorded})
    sure = np.repeat(np.where(HARD, 0.5, 0.9), 2)
    outcomes.answers["signals"] = [json.dumps({"label:A": share, "label:B": 1 - share}) for share in sure]
    router = SelfConsistencyRouter("small", samples=5)
    quality = guarded(router.fit(fit_table(outcomes, router)), outcomes)((0,))
    assert quality[HARD, 0].max() < 0.5 < quality[~HARD, 0].min()


def test_self_verification_says_what_is_missing():
    with pytest.raises(NotRecorded, match=r"'p_true'.* add the probability to the column signals"):
        SelfVerificationRouter("p_true").fit(fit_table(matrix(QUALITY)))


def test_self_verification_calibrates_the_models_own_word():
    outcomes = matrix(QUALITY)
    outcomes.answers["signals"] = [json.dumps({"p_true": 0.6 if hard else 0.8}) for hard in HARD for _ in range(2)]
    quality = guarded(SelfVerificationRouter("p_true").fit(fit_table(outcomes)), outcomes)((0,))
    assert quality[HARD, 0].max() < 0.5 < quality[~HARD, 0].min()


@pytest.mark.parametrize(
    "read", ["state:*:5", "samples:small", "samples:small:x", "state:huge", "prompt:small", "tokens:small"]
)
def test_a_read_that_makes_no_sense_is_refused(read):
    router = dataclasses.make_dataclass("Odd", [("reads", frozenset)])(frozenset({read}))
    with pytest.raises(ValueError, match="may not read"):
        side_table_keys(router, ("small", "large"))
