"""Each router's predictions on tasks whose right prediction a reader can see."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing.access import fit_table, guarded
from slm_orchestration.routing.features import (
    FEATURES,
    LatentSemantics,
    SentenceEmbeddings,
    TaskAnalysis,
    analyse,
    complexity,
    unit_length,
)
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.quality_model import BoostedTrees, LogisticQuality
from slm_orchestration.routing.routers.adaptive import AdaptiveRouter
from slm_orchestration.routing.routers.answer_scorer import AnswerScorerRouter
from slm_orchestration.routing.routers.bradley_terry import BradleyTerryRouter
from slm_orchestration.routing.routers.confidence import ConfidenceRouter
from slm_orchestration.routing.routers.domain_table import DomainTableRouter
from slm_orchestration.routing.routers.heuristic import HeuristicRouter
from slm_orchestration.routing.routers.knn import NearestTasksRouter, nearest_rows
from slm_orchestration.routing.routers.length import LengthRouter
from slm_orchestration.routing.routers.matrix_factorization import MatrixFactorizationRouter
from slm_orchestration.routing.routers.regression import RegressionRouter
from slm_orchestration.routing.rules import Cascade, Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.statistics.grid import STEP, on_grid
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


def _words():
    return LatentSemantics(dimensions=8, seed=0)


def _analysis():
    return TaskAnalysis(_words())


FITTED = [
    DomainTableRouter(_analysis()),
    AdaptiveRouter(_analysis()),
    RegressionRouter(_analysis(), LogisticQuality()),
    RegressionRouter(_analysis(), BoostedTrees(trees=60, learning_rate=0.1, leaf_tasks=10, seed=0)),
    NearestTasksRouter(_words(), neighbours=(5, 20)),
    MatrixFactorizationRouter(_analysis(), rank=2, penalty=0.001, seed=0),
]
FROM_ANSWERS = [ConfidenceRouter(), AnswerScorerRouter(_analysis(), _words())]
ROUTERS = [HeuristicRouter(), LengthRouter(), BradleyTerryRouter(_words(), base=10.0), *FITTED, *FROM_ANSWERS]


def _name(router):
    return type(getattr(router, "regression", router)).__name__


def _prompts(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"prompt": list(texts)})


@pytest.mark.real
def test_sentence_embeddings_know_words_that_no_fit_task_had():
    prompts = pd.Series(["Add three and four.", "What is the sum of 8 and 9?", "Who painted this chapel?"])
    sums, likewise, painting = SentenceEmbeddings().fit(pd.Series(["unrelated"])).transform(prompts)
    assert sums @ likewise > sums @ painting + 0.2
    assert np.linalg.norm(sums) == pytest.approx(1.0, abs=20 * STEP)


def test_every_feature_is_finite_on_any_text():
    rows = analyse(["", " ", EASY, HARD, "\x00\ud7ff🙂" * 100, "a" * 100_000, "{" * 5_000])
    assert list(rows.columns) == list(FEATURES)
    assert np.isfinite(rows.to_numpy(float)).all()


def test_complexity_grows_with_numbers_and_reasoning_words():
    easy, hard = complexity(analyse([EASY, HARD]))
    assert 0 <= easy < hard <= 1


def test_the_heuristic_trusts_the_most_expensive_model_and_doubts_cheaper_ones_of_a_complex_prompt():
    router = HeuristicRouter().fit(fit_table(OUTCOMES))
    easy, hard = router.predict_quality(_prompts(EASY, HARD), pd.DataFrame())
    assert easy[2] == hard[2] == 1.0
    assert hard[0] < hard[1] < 1.0
    assert hard[0] < easy[0]


def test_neighbours_of_equal_similarity_are_the_earlier_fit_tasks():
    points = unit_length(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]))
    assert nearest_rows(points[:1], points, 2).tolist() == [[0, 2]]
    assert nearest_rows(points[1:2], points, 2).tolist() == [[0, 1]]


def test_dimensions_that_only_rounding_spans_are_left_out():
    # four texts of two kinds span two dimensions; the third would be noise, and another one on each machine
    texts = pd.Series(["red green", "red green", "blue black", "blue black"] * 3)
    vectors = LatentSemantics(dimensions=5, seed=0).fit(texts)
    assert (vectors.transform(pd.Series(["red black green", "blue"]))[:, 2:] == 0).all()


def test_confidence_of_a_called_model_replaces_its_mean():
    router = ConfidenceRouter().fit(fit_table(OUTCOMES))
    mean = OUTCOMES.quality.mean(axis=0)
    predicted = guarded(router, OUTCOMES)((0,))
    assert predicted[:, 0].tolist() == on_grid([0.9 if row[0] else 0.1 for row in QUALITY]).tolist()
    assert predicted[0, 1:] == pytest.approx(mean[1:], abs=STEP)


@pytest.mark.parametrize("router", FITTED, ids=_name)
def test_a_fitted_router_tells_easy_from_hard_prompts(router):
    fitted = RoutedStrategy("s", router, Utility()).fit(OUTCOMES, OUTCOMES).router
    easy, hard = fitted.predict_quality(_prompts(EASY + " 7", HARD + " 7"), fit_table(OUTCOMES).iloc[:0])
    assert easy[0] > 0.7
    assert hard[0] < 0.3
    assert hard[2] > 0.8


def test_adaptive_believes_a_doubtful_answer_over_an_easy_prompt():
    fitted = AdaptiveRouter(_analysis()).fit(fit_table(OUTCOMES))
    answers = pd.DataFrame({"row": [0], "model": ["small"], "confidence": [0.1]})
    quality = fitted.predict_quality(_prompts(EASY + " 7"), answers)
    assert quality[0, 0] == 0.1


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


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_a_fitted_router_bears_models_that_are_always_right_or_wrong(constant):
    outcomes = matrix([[constant] * 3] * 12, questions=QUESTIONS[:12])
    quality = (
        AdaptiveRouter(_analysis())
        .fit(fit_table(outcomes))
        .predict_quality(_prompts(EASY), fit_table(outcomes).iloc[:0])
    )
    assert quality[0] == pytest.approx([13 / 14 if constant else 1 / 14] * 3)


def test_longer_prompts_get_a_lower_predicted_quality_from_cheaper_models_only():
    outcomes = matrix([[1, 1, 1]] * 4, questions=["a", "bb", "ccc", "dddd"])
    short, long = LengthRouter().fit(fit_table(outcomes)).predict_quality(_prompts("a", "dddd"), pd.DataFrame())
    # none of the four fit prompts is shorter than "a"; three are shorter than "dddd"
    assert short.tolist() == [1.0, 1.0, 1.0]
    assert long.tolist() == [0.25, 0.625, 1.0]


def test_nearest_tasks_fall_back_to_the_means_where_neighbours_tell_nothing():
    rng = np.random.default_rng(0)
    fit, calibration = (fit_table(matrix(rng.integers(0, 2, (200, 3)), questions=QUESTIONS)) for _ in range(2))
    router = NearestTasksRouter(_words(), neighbours=(5, 20)).fit(fit).tune(calibration)
    assert router.k == 0
    means = fit.groupby("model", sort=False)["quality"].mean()
    assert router.predict_quality(_prompts(EASY), pd.DataFrame())[0] == pytest.approx(means)


def test_nearest_tasks_choose_k_on_calibration_tasks():
    # Fit tasks are of two kinds; the two nearest are alike, all four together are not.
    fit = matrix([[1, 1], [1, 1], [0, 1], [0, 1]], questions=["red apple tree"] * 2 + ["prime number theorem"] * 2)
    many = matrix([[1, 1], [0, 1]] * 10, questions=["red apple tree", "prime number theorem"] * 10)
    router = NearestTasksRouter(_words(), neighbours=(2, 4)).fit(fit_table(fit))
    assert router.k == 0
    assert router.tune(fit_table(many)).k == 2
    assert router.predict_quality(_prompts("apple tree"), pd.DataFrame())[0].tolist() == [1.0, 1.0]


def test_adaptive_without_recorded_confidence_chooses_one_model_from_the_prompt():
    outcomes = matrix(QUALITY, questions=QUESTIONS)
    outcomes.answers["confidence"] = np.nan
    fitted = RoutedStrategy("s", AdaptiveRouter(_analysis()), Utility()).fit(outcomes, outcomes)
    assert fitted.router.reads == {"prompt"}
    assert (fitted.choose(outcomes, np.linspace(0, 1, 5))["s"].called.sum(axis=2) == 1).all()


def test_adaptive_reads_the_answers_of_models_whose_confidence_is_recorded():
    outcomes = matrix(QUALITY, questions=QUESTIONS)
    outcomes.answers.loc[outcomes.answers["model"] == "middle", "confidence"] = np.nan
    assert AdaptiveRouter(_analysis()).fit(fit_table(outcomes)).reads == {"prompt", "answer:small", "answer:large"}


def test_a_cascade_on_confidence_says_what_is_missing():
    outcomes = matrix(QUALITY)
    outcomes.answers["confidence"] = np.nan
    with pytest.raises(NotRecorded, match="confidence of every answer, and 400 answers"):
        ConfidenceRouter().fit(fit_table(outcomes))


def test_the_answer_scorer_does_without_confidence_and_tokens_but_not_without_answers():
    outcomes = matrix(QUALITY, questions=QUESTIONS)
    outcomes.answers[["confidence", "completion_tokens"]] = np.nan
    fitted = AnswerScorerRouter(_analysis(), _words()).fit(fit_table(outcomes))
    assert np.isfinite(guarded(fitted, outcomes)((0,))).all()
    outcomes.answers["answer"] = None
    with pytest.raises(NotRecorded, match="record the column answer"):
        AnswerScorerRouter(_analysis(), _words()).fit(fit_table(outcomes))


def test_bradley_terry_gives_the_most_expensive_model_a_tie_with_itself_and_losers_less():
    quality = (
        BradleyTerryRouter(_words(), base=10.0)
        .fit(fit_table(OUTCOMES))
        .predict_quality(_prompts(EASY, HARD), pd.DataFrame())
    )
    assert quality[:, 2] == pytest.approx([0.5, 0.5])
    assert (quality[:, :2] < 0.5).all()
    assert quality[1, 0] < quality[0, 0]


def test_bradley_terry_of_two_models_is_the_weighted_share_of_wins():
    # every task is alike, so all weigh the same: the small model wins 1, ties 1 and loses 2 of 4 -> 1.5 wins of 4
    outcomes = matrix([[1, 0], [1, 1], [0, 1], [0, 1]], questions=["same words here"] * 4)
    quality = (
        BradleyTerryRouter(_words(), base=10.0)
        .fit(fit_table(outcomes))
        .predict_quality(_prompts("same words here"), pd.DataFrame())
    )
    assert quality[0, 0] == pytest.approx(1.5 / 4, abs=1e-3)


def test_the_gradient_of_the_matrix_factorisation_is_that_of_its_loss():
    from scipy.optimize import check_grad

    router = MatrixFactorizationRouter(_words(), rank=2, penalty=0.01, seed=0).fit(fit_table(OUTCOMES))
    points = router.vectors.transform(pd.Series(QUESTIONS))
    start = np.random.default_rng(1).normal(size=router._parameters.size)
    error = check_grad(
        lambda x: router._loss(x, points, OUTCOMES.quality)[0],
        lambda x: router._loss(x, points, OUTCOMES.quality)[1],
        start,
    )
    assert error < 1e-5


def test_the_answer_scorer_learns_that_some_answers_are_wrong():
    outcomes = matrix(QUALITY, questions=["same question"] * 200)
    said = np.where(outcomes.quality.ravel() > 0, "certainly yes", "perhaps no")
    outcomes.answers["answer"] = said
    fitted = AnswerScorerRouter(_analysis(), _words()).fit(fit_table(outcomes))
    predicted = guarded(fitted, outcomes)((0,))[:, 0]
    assert predicted[outcomes.quality[:, 0] == 1].min() > 0.8
    assert predicted[outcomes.quality[:, 0] == 0].max() < 0.2
