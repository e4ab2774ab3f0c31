import numpy as np
import pytest

from slm_orchestration.routing.features import WideVectors
from slm_orchestration.routing.predictors import Kinds
from slm_orchestration.routing.routers.length import LengthRouter
from slm_orchestration.routing.routers.predictor import PredictorRouter
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.studies.explain import in_words, kinds_table, typical_words
from tests.routing.routers.by_hand import OUTCOMES
from tests.routing.routers.test_adaptive import adaptive


def test_each_kind_says_its_words_its_quality_and_who_serves_it():
    strategy = RoutedStrategy("kinds", PredictorRouter(WideVectors(8, seed=0), Kinds(2, 8, seed=0)), Utility())
    table = kinds_table(strategy.fit(OUTCOMES, OUTCOMES), OUTCOMES, threshold=0.3).set_index("serves")
    assert table["tasks"].sum() == len(OUTCOMES)
    assert "blue" in table.loc["small", "words"] and "step" in table.loc["large", "words"]
    assert table.loc["large", "large"] > 0.9 > 0.1 > table.loc["large", "small"]


def test_typical_words_are_those_that_other_kinds_lack():
    texts = ["add two numbers", "add four numbers", "name the river", "name the city"]
    words = typical_words(texts, np.array([0, 0, 1, 1]), 3)
    assert set(words[0].split(", ")) == {"add", "numbers"} and set(words[1].split(", ")) == {"name", "the"}
    assert words[2] == "no word is typical"


def test_an_adaptive_router_says_its_weights_and_stages_in_words():
    fitted = RoutedStrategy("a", adaptive(), Utility()).fit(OUTCOMES, OUTCOMES)
    lines = in_words(fitted.router)
    assert lines[0].startswith("Before an answer, the prediction is a weighted mean of logistic 0.")
    assert len(lines) == 1 + max(1, sum(stage.helps for stage in fitted.router.stages))
    assert kinds_table(fitted, OUTCOMES, 0.5)["tasks"].sum() == len(OUTCOMES)


def test_a_router_without_kinds_is_refused():
    fitted = RoutedStrategy("length", LengthRouter(), Utility()).fit(OUTCOMES, OUTCOMES)
    with pytest.raises(ValueError, match="length has no kinds of requests"):
        kinds_table(fitted, OUTCOMES, 0.5)
