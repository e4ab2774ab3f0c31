"""The length router: ranks among fit prompts."""

import pandas as pd

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.routers.length import LengthRouter
from tests.routing.routers.by_hand import prompts
from tests.routing.tables_by_hand import matrix


def test_longer_prompts_get_a_lower_predicted_quality_from_cheaper_models_only():
    outcomes = matrix([[1, 1, 1]] * 4, questions=["a", "bb", "ccc", "dddd"])
    short, long = LengthRouter().fit(fit_table(outcomes)).predict_quality(prompts("a", "dddd"), pd.DataFrame())
    # none of the four fit prompts is shorter than "a"; three are shorter than "dddd"
    assert short.tolist() == [1.0, 1.0, 1.0]
    assert long.tolist() == [0.25, 0.625, 1.0]


def test_a_prompt_longer_than_all_fit_prompts_gets_0_from_the_cheapest_of_two_models():
    outcomes = matrix([[1, 1]] * 2, questions=["a", "bb"])
    quality = LengthRouter().fit(fit_table(outcomes)).predict_quality(prompts("ccc", ""), pd.DataFrame())
    assert quality.tolist() == [[0.0, 1.0], [1.0, 1.0]]
