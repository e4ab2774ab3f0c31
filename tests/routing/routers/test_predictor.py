import numpy as np

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.features import WideVectors
from slm_orchestration.routing.predictors import Kinds
from slm_orchestration.routing.routers.predictor import PredictorRouter
from tests.routing.routers.by_hand import EASY, HARD, OUTCOMES, prompts


def test_kinds_of_requests_get_what_each_model_achieved_on_them():
    fitted = PredictorRouter(WideVectors(8, seed=0), Kinds(4, 8, seed=0)).fit(fit_table(OUTCOMES))
    easy, hard = fitted.predict_quality(prompts(EASY + " 7", HARD + " 7"), fit_table(OUTCOMES).iloc[:0])
    assert np.all(easy > 0.9)
    assert hard[0] < 0.1 and hard[2] > 0.9
