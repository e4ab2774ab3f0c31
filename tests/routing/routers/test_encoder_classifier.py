"""The encoder that is fine-tuned on fit tasks."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.routers.encoder_classifier import EncoderClassifierRouter
from tests.routing.routers.by_hand import EASY, HARD, OUTCOMES, prompts
from tests.routing.tables_by_hand import matrix


def _router(device):
    return EncoderClassifierRouter(device, epochs=0, learning_rate=1e-4, batch=8, seed=0)


def test_without_a_device_it_says_what_to_add():
    with pytest.raises(NotRecorded, match="device=cuda"):
        _router(None).fit(fit_table(OUTCOMES))


@pytest.mark.real
def test_untrained_it_predicts_the_mean_quality_of_each_model_in_the_order_of_the_pool():
    outcomes = matrix([[0, 0, 1], [0, 1, 1], [0, 1, 1], [1, 1, 1]])
    quality = _router("cpu").fit(fit_table(outcomes)).predict_quality(prompts(EASY, HARD), pd.DataFrame())
    # a mean of 1 is taken for .99, so that its logit exists
    assert quality == pytest.approx(np.tile([0.25, 0.75, 0.99], (2, 1)), abs=1e-6)
