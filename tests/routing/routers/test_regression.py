"""One regression per model on the vectors of prompts."""

import pandas as pd

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.quality_model import BoostedTrees, LogisticQuality
from slm_orchestration.routing.routers.regression import RegressionRouter
from tests.routing.routers.by_hand import EASY, HARD, OUTCOMES, QUESTIONS, analysis, prompts


def test_each_model_has_its_own_regression_on_the_same_features():
    fitted = RegressionRouter(analysis(), LogisticQuality()).fit(fit_table(OUTCOMES))
    quality = fitted.predict_quality(prompts(EASY, HARD), pd.DataFrame())
    fit_prompts, groups = pd.Series(QUESTIONS), OUTCOMES.tasks["group"].to_numpy()
    vectors = analysis().fit(fit_prompts)
    for model, right in enumerate(OUTCOMES.quality.T):
        alone = LogisticQuality().fit(vectors.transform(fit_prompts), right, groups)
        assert quality[:, model].tolist() == alone.predict(vectors.transform(pd.Series([EASY, HARD]))).tolist()


def test_boosted_trees_stay_within_0_and_1_and_tell_models_apart():
    trees = BoostedTrees(trees=60, learning_rate=0.1, leaf_tasks=10, seed=0)
    quality = (
        RegressionRouter(analysis(), trees).fit(fit_table(OUTCOMES)).predict_quality(prompts(HARD), pd.DataFrame())
    )
    assert quality[0, 0] < 0.05 and quality[0, 2] > 0.95
    assert ((quality >= 0) & (quality <= 1)).all()
