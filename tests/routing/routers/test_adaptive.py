import numpy as np
import pytest

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.features import WideVectors
from slm_orchestration.routing.predictors import Forest, Kinds, PerModel
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.routers.adaptive import AdaptiveRouter, combination
from tests.routing.routers.by_hand import EASY, HARD, OUTCOMES, QUALITY, QUESTIONS, prompts
from tests.routing.tables_by_hand import matrix


def adaptive() -> AdaptiveRouter:
    parts = {
        "logistic": PerModel(LogisticQuality((0.3,)), 8),
        "kinds": Kinds(4, 8, seed=0),
        "forest": Forest(dimensions=8, trees=20, leaf_tasks=4, columns=0.5, seed=0),
    }
    return AdaptiveRouter(WideVectors(8, seed=0), parts)


def test_before_an_answer_it_tells_kinds_of_requests_apart():
    fitted = adaptive().fit(fit_table(OUTCOMES))
    easy, hard = fitted.predict_quality(prompts(EASY + " 7", HARD + " 7"), fit_table(OUTCOMES).iloc[:0])
    assert easy[0] > 0.8 and hard[0] < 0.2 and hard[2] > 0.8
    assert sum(fitted.weights.values()) == pytest.approx(1, abs=1e-5) and min(fitted.weights.values()) >= 0


def test_a_predictor_of_noise_gets_less_weight_and_none_is_negative():
    rng = np.random.default_rng(0)
    quality = (rng.random((400, 3)) < 0.5).astype(float)
    good, noise = 0.5 * quality + 0.25, rng.random((400, 3))
    weights = combination({"good": good, "noise": noise, "against": 1 - good}, quality)
    assert weights["good"] > 0.5 > weights["noise"] >= weights["against"] == 0
    assert combination({"a": good, "b": good}, quality) == {"a": 0.5, "b": 0.5}
    flat = np.full((400, 3), 0.5)
    assert combination({"a": flat, "b": flat}, quality) == {"a": 0.5, "b": 0.5}


def test_confidence_is_read_only_where_it_helps_on_held_out_tasks():
    rng = np.random.default_rng(0)
    right = (rng.random((400, 3)) < [0.4, 0.5, 0.6]).astype(float)
    questions = [f"{EASY} {number}" for number in range(400)]
    telling = matrix(right.tolist(), questions=questions, confidence=(0.8 * right + 0.1).tolist())
    fitted = adaptive().fit(fit_table(telling))
    helps = {(stage.answered, stage.of): stage.helps for stage in fitted.stages}
    assert helps["small", "small"] and helps["middle", "middle"]  # its own answer's confidence says whether it is right
    assert "answer:small" in fitted.reads
    answers = fit_table(telling).query("model == 'small' and row < 2").assign(confidence=[0.9, 0.1], row=[0, 1])
    sure, unsure = fitted.predict_quality(prompts(EASY, EASY), answers)[:, 0]
    assert sure > 0.85 and unsure < 0.15
    noise = matrix(right.tolist(), questions=questions, confidence=rng.random((400, 3)).tolist())
    assert sum(stage.helps for stage in adaptive().fit(fit_table(noise)).stages) <= 1


def test_with_few_groups_the_weights_stay_equal_and_no_answer_is_read():
    few = matrix(QUALITY[:30], questions=QUESTIONS[:30])
    fitted = adaptive().fit(fit_table(few))
    assert set(fitted.weights.values()) == {1 / 3}
    assert fitted.reads == {"prompt"} and fitted.stages == ()


def test_equal_fits_give_equal_bytes():
    table = fit_table(OUTCOMES)
    one, other = (adaptive().fit(table).predict_quality(prompts(*QUESTIONS), table.iloc[:0]) for _ in range(2))
    assert one.tobytes() == other.tobytes()
