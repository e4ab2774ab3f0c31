"""The confidence router believes the models that were called."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing.access import fit_table, guarded
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.routers.confidence import ConfidenceRouter
from slm_orchestration.statistics.grid import STEP, on_grid
from tests.routing.routers.by_hand import EASY, OUTCOMES, QUALITY, prompts
from tests.routing.tables_by_hand import matrix


def test_confidence_of_a_called_model_replaces_its_mean():
    router = ConfidenceRouter().fit(fit_table(OUTCOMES))
    mean = OUTCOMES.quality.mean(axis=0)
    predicted = guarded(router, OUTCOMES)((0,))
    assert predicted[:, 0].tolist() == on_grid([0.9 if row[0] else 0.1 for row in QUALITY]).tolist()
    assert predicted[0, 1:] == pytest.approx(mean[1:], abs=STEP)


def test_a_cascade_on_confidence_says_what_is_missing():
    outcomes = matrix(QUALITY)
    outcomes.answers["confidence"] = np.nan
    with pytest.raises(NotRecorded, match="confidence of every answer, and 400 answers"):
        ConfidenceRouter().fit(fit_table(outcomes))


def test_the_most_expensive_model_may_lack_its_confidence():
    outcomes = matrix(QUALITY)
    outcomes.answers.loc[outcomes.answers["model"] == "large", "confidence"] = np.nan
    quality = guarded(ConfidenceRouter().fit(fit_table(outcomes)), outcomes)((0, 2))
    assert quality[0] == pytest.approx([0.5, *outcomes.quality.mean(axis=0)[1:]], abs=STEP)


def test_it_must_be_fitted_before_it_predicts():
    with pytest.raises(ValueError, match="must be fitted"):
        ConfidenceRouter().predict_quality(prompts(EASY), pd.DataFrame())
