"""Each router's predictions on tasks whose right prediction a reader can see."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing.adaptive import AdaptiveRouter
from slm_orchestration.routing.confidence import ConfidenceRouter
from slm_orchestration.routing.domain_table import DomainTableRouter
from slm_orchestration.routing.features import FEATURES, analyse, complexity
from slm_orchestration.routing.heuristic import HeuristicRouter
from slm_orchestration.routing.rules import Cascade, Utility
from slm_orchestration.routing.strategy import RoutedStrategy, fit_table, guarded
from tests.routing.tables_by_hand import matrix

EASY, HARD = "Is the sky blue?", "Prove, step by step, that 17 + 25 = 42 and that 3 * 14 = 42, then explain why."


def _two_kinds(count: int) -> tuple[list[list[float]], list[str], list[str]]:
    """Every model answers easy tasks; only the largest answers hard ones."""
    rng = np.random.default_rng(0)
    hard = rng.random(count) < 0.5
    quality = [[0.0, 0.0, 1.0] if row else [1.0, 1.0, 1.0] for row in hard]
    questions = [f"{HARD} {number}" if row else f"{EASY} {number}" for number, row in enumerate(hard)]
    return quality, questions, ["mathematics" if row else "commonsense" for row in hard]


QUALITY, QUESTIONS, DOMAINS = _two_kinds(200)
OUTCOMES = matrix(
    QUALITY, questions=QUESTIONS, domains=DOMAINS, confidence=[[0.9 if q else 0.1 for q in row] for row in QUALITY]
)
ROUTERS = [
    HeuristicRouter(),
    ConfidenceRouter(),
    DomainTableRouter(dimensions=8, seed=0),
    AdaptiveRouter(dimensions=8, seed=0),
]


def _prompts(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"prompt": list(texts)})


def test_every_feature_is_finite_on_any_text():
    rows = analyse(["", " ", EASY, HARD, "\x00\ud7ff🙂" * 100, "a" * 100_000, "{" * 5_000])
    assert list(rows.columns) == list(FEATURES)
    assert np.isfinite(rows.to_numpy(float)).all()


def test_complexity_grows_with_numbers_and_reasoning_words():
    easy, hard = complexity(analyse([EASY, HARD]))
    assert 0 <= easy < hard <= 1


def test_the_heuristic_trusts_the_dearest_model_and_doubts_cheaper_ones_of_a_complex_prompt():
    router = HeuristicRouter().fit(fit_table(OUTCOMES))
    easy, hard = router.predict_quality(_prompts(EASY, HARD), pd.DataFrame())
    assert easy[2] == hard[2] == 1.0
    assert hard[0] < hard[1] < 1.0
    assert hard[0] < easy[0]


def test_confidence_of_a_called_model_replaces_its_mean():
    router = ConfidenceRouter().fit(fit_table(OUTCOMES))
    mean = OUTCOMES.quality.mean(axis=0)
    predicted = guarded(router, OUTCOMES)((0,))
    assert predicted[:, 0].tolist() == [0.9 if row[0] else 0.1 for row in QUALITY]
    assert predicted[0, 1:] == pytest.approx(mean[1:])


@pytest.mark.parametrize("router", [DomainTableRouter(dimensions=8, seed=0), AdaptiveRouter(dimensions=8, seed=0)])
def test_a_fitted_router_tells_easy_from_hard_prompts(router):
    fitted = router.fit(fit_table(OUTCOMES))
    easy, hard = fitted.predict_quality(_prompts(EASY + " 7", HARD + " 7"), fit_table(OUTCOMES).iloc[:0])
    assert easy[0] > 0.7
    assert hard[0] < 0.3
    assert hard[2] > 0.8


def test_adaptive_believes_a_doubtful_answer_over_an_easy_prompt():
    fitted = AdaptiveRouter(dimensions=8, seed=0).fit(fit_table(OUTCOMES))
    answers = pd.DataFrame({"row": [0], "model": ["small"], "confidence": [0.1]})
    quality = fitted.predict_quality(_prompts(EASY + " 7"), answers)
    assert quality[0, 0] == 0.1


@pytest.mark.parametrize("router", ROUTERS, ids=lambda router: type(router).__name__)
def test_equal_fits_give_equal_bytes(router):
    rule = Cascade() if isinstance(router, ConfidenceRouter) else Utility()
    strategy, grid = RoutedStrategy("s", router, rule), np.linspace(0, 1, 11)
    one, two = (strategy.fit(OUTCOMES, OUTCOMES).choose(OUTCOMES, grid)["s"] for _ in range(2))
    assert one.called.tobytes() == two.called.tobytes()


@pytest.mark.parametrize("router", ROUTERS, ids=lambda router: type(router).__name__)
def test_fitting_leaves_the_configured_router_as_it_was(router):
    before = repr(router)
    RoutedStrategy("s", router, Utility()).fit(OUTCOMES, OUTCOMES)
    assert repr(router) == before


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_a_fitted_router_bears_models_that_are_always_right_or_wrong(constant):
    outcomes = matrix([[constant] * 3] * 12, questions=QUESTIONS[:12])
    quality = (
        AdaptiveRouter(dimensions=8, seed=0)
        .fit(fit_table(outcomes))
        .predict_quality(_prompts(EASY), fit_table(outcomes).iloc[:0])
    )
    assert quality[0] == pytest.approx([13 / 14 if constant else 1 / 14] * 3)
