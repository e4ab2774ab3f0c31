"""What must hold of every router."""

import numpy as np
import pytest

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.quality_model import BoostedTrees, LogisticQuality
from slm_orchestration.routing.routers.answer_scorer import AnswerScorerRouter
from slm_orchestration.routing.routers.bradley_terry import BradleyTerryRouter
from slm_orchestration.routing.routers.confidence import ConfidenceRouter
from slm_orchestration.routing.routers.confidence_regression import ConfidenceRegressionRouter
from slm_orchestration.routing.routers.domain_table import DomainTableRouter
from slm_orchestration.routing.routers.heuristic import HeuristicRouter
from slm_orchestration.routing.routers.knn import NearestTasksRouter
from slm_orchestration.routing.routers.length import LengthRouter
from slm_orchestration.routing.routers.matrix_factorization import MatrixFactorizationRouter
from slm_orchestration.routing.routers.regression import RegressionRouter
from slm_orchestration.routing.rules import Cascade, Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from tests.routing.routers.by_hand import EASY, HARD, OUTCOMES, analysis, prompts, words

FITTED = [
    DomainTableRouter(analysis()),
    ConfidenceRegressionRouter(analysis()),
    RegressionRouter(analysis(), LogisticQuality()),
    RegressionRouter(analysis(), BoostedTrees(trees=60, learning_rate=0.1, leaf_tasks=10, seed=0)),
    NearestTasksRouter(words(), neighbours=(5, 20)),
    MatrixFactorizationRouter(analysis(), rank=2, penalty=0.001, seed=0),
]
FROM_ANSWERS = [ConfidenceRouter(), AnswerScorerRouter(analysis(), words())]
ROUTERS = [HeuristicRouter(), LengthRouter(), BradleyTerryRouter(words(), base=10.0), *FITTED, *FROM_ANSWERS]


def _name(router):
    return type(getattr(router, "regression", router)).__name__


@pytest.mark.parametrize("router", FITTED, ids=_name)
def test_a_fitted_router_tells_easy_from_hard_prompts(router):
    fitted = RoutedStrategy("s", router, Utility()).fit(OUTCOMES, OUTCOMES).router
    easy, hard = fitted.predict_quality(prompts(EASY + " 7", HARD + " 7"), fit_table(OUTCOMES).iloc[:0])
    assert easy[0] > 0.7
    assert hard[0] < 0.3
    assert hard[2] > 0.8


@pytest.mark.parametrize("router", ROUTERS, ids=_name)
def test_equal_fits_give_equal_bytes(router):
    rule = Cascade() if router in FROM_ANSWERS else Utility()
    strategy, grid = RoutedStrategy("s", router, rule), np.linspace(0, 1, 11)
    one, two = (strategy.fit(OUTCOMES, OUTCOMES).choose(OUTCOMES, grid)["s"] for _ in range(2))
    assert one.called.tobytes() == two.called.tobytes()


@pytest.mark.parametrize("router", ROUTERS, ids=_name)
def test_fitting_leaves_the_configured_router_as_it_was(router):
    before = repr(router)
    RoutedStrategy("s", router, Utility()).fit(OUTCOMES, OUTCOMES)
    assert repr(router) == before
