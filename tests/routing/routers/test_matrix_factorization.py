"""The matrix factorisation reaches an optimum of its loss."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.routers.matrix_factorization import MatrixFactorizationRouter
from tests.routing.routers.by_hand import EASY, HARD, OUTCOMES, QUESTIONS, prompts, words


def test_the_gradient_of_the_matrix_factorisation_is_that_of_its_loss():
    from scipy.optimize import check_grad

    router = MatrixFactorizationRouter(words(), rank=2, penalty=0.01, seed=0).fit(fit_table(OUTCOMES))
    points = router.vectors.transform(pd.Series(QUESTIONS))
    start = np.random.default_rng(1).normal(size=router._parameters.size)
    error = check_grad(
        lambda x: router._loss(x, points, OUTCOMES.quality)[0],
        lambda x: router._loss(x, points, OUTCOMES.quality)[1],
        start,
    )
    assert error < 1e-5


def test_the_fit_is_a_stationary_point():
    router = MatrixFactorizationRouter(words(), rank=2, penalty=0.01, seed=0).fit(fit_table(OUTCOMES))
    points = router.vectors.transform(pd.Series(QUESTIONS))
    assert np.abs(router._loss(router._parameters, points, OUTCOMES.quality)[1]).max() < 1e-7


def test_under_a_large_penalty_it_predicts_each_models_mean():
    # the factors are 0 then, and the bias alone, which is not penalised, minimises the log loss
    router = MatrixFactorizationRouter(words(), rank=2, penalty=100.0, seed=0).fit(fit_table(OUTCOMES))
    easy, hard = router.predict_quality(prompts(EASY, HARD), pd.DataFrame())
    means = OUTCOMES.quality.mean(axis=0)
    assert easy[:2] == pytest.approx(means[:2], abs=1e-6) and hard[:2] == pytest.approx(means[:2], abs=1e-6)
