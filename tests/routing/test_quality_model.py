import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from slm_orchestration.routing.quality_model import LogisticQuality


@pytest.mark.parametrize("penalty", [0.003, 0.3, 30.0])
def test_it_is_the_penalised_logistic_regression_of_scikit_learn(penalty):
    rng = np.random.default_rng(0)
    features, quality = rng.normal(size=(80, 6)), rng.choice([0.0, 0.3, 1.0], 80)
    mine = LogisticQuality(inverse_penalties=(penalty,)).fit(features, quality, np.arange(80)).predict(features)
    # a quality of .3 counts as .3 of a right and .7 of a wrong answer
    theirs = LogisticRegression(C=penalty, tol=1e-10, max_iter=10_000).fit(
        np.vstack([features, features]), np.repeat([1, 0], 80), sample_weight=np.append(quality, 1 - quality)
    )
    assert mine == pytest.approx(theirs.predict_proba(features)[:, 1], abs=1e-5)


def test_separable_tasks_do_not_make_it_diverge():
    features = np.array([[-1.0], [-0.5], [0.5], [1.0]] * 5)
    predicted = LogisticQuality().fit(features, (features[:, 0] > 0).astype(float), np.arange(20)).predict(features)
    assert np.isfinite(predicted).all() and predicted[0] < 0.5 < predicted[3]


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_a_constant_quality_is_smoothed(constant):
    predicted = LogisticQuality().fit(np.zeros((12, 2)), np.full(12, constant), np.arange(12)).predict(np.ones((1, 2)))
    assert predicted[0] == pytest.approx((12 * constant + 1) / 14)
