"""Self-verification: the models' own word, calibrated."""

import json

import pytest

from slm_orchestration.routing.access import fit_table, guarded
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.routers.self_verification import SelfVerificationRouter
from tests.routing.routers.by_hand import IS_HARD, QUALITY_OF_PAIR
from tests.routing.tables_by_hand import matrix


def test_self_verification_says_what_is_missing():
    with pytest.raises(NotRecorded, match=r"'p_true'.* add the probability to the column signals"):
        SelfVerificationRouter("p_true").fit(fit_table(matrix(QUALITY_OF_PAIR)))


def test_self_verification_calibrates_the_models_own_word():
    outcomes = matrix(QUALITY_OF_PAIR)
    outcomes.answers["signals"] = [json.dumps({"p_true": 0.6 if hard else 0.8}) for hard in IS_HARD for _ in range(2)]
    quality = guarded(SelfVerificationRouter("p_true").fit(fit_table(outcomes)), outcomes)((0,))
    assert quality[IS_HARD, 0].max() < 0.5 < quality[~IS_HARD, 0].min()
