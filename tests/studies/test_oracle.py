"""The cross-fitted oracle has no luck: it is scored on draws that it did not choose on."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.statistics.resampling import design
from slm_orchestration.studies.oracle import LUCK, OTHER_DRAWS, SAME_DRAWS, drawn_quality, oracle_table, oracles


def _samples(quality):
    tasks, draws = np.shape(quality)
    keys = [[f"t{n}" for n in range(tasks)], range(1, draws + 1)]
    index = pd.MultiIndex.from_product(keys, names=["task_id", "repeat"])
    return pd.DataFrame({"quality": np.ravel(quality)}, index=index).reset_index()


def _greedy(tasks, **models):
    return pd.DataFrame(models, index=[f"t{n}" for n in range(tasks)], dtype=float)


def test_two_draws_of_one_task_that_a_reader_can_add_up():
    # Chosen on the right draw, the model has 0 on the other; chosen on the wrong one, a tie goes to the cheaper: 1.
    quality = drawn_quality(_greedy(1, small=0, large=0), {"small": _samples([[1, 0]])})
    same, other = oracles(quality)
    assert same.tolist() == [0.5] and other.tolist() == [0.5]
    # Two models that are right by turns: on the same draw the oracle is always right, on the other never.
    turns = drawn_quality(_greedy(1, small=0, large=0), {"small": _samples([[1, 0]]), "large": _samples([[0, 1]])})
    same, other = oracles(turns)
    assert same.tolist() == [1.0] and other.tolist() == [0.0]


def test_between_models_that_are_right_by_chance_alone_the_oracles_gain_is_all_luck():
    rng, tasks = np.random.default_rng(0), 3000
    samples = {name: _samples(rng.random((tasks, 5)) < 0.5) for name in ("small", "large")}
    about = pd.DataFrame({"domain": "d", "dataset": "d", "group": [f"g{n}" for n in range(tasks)]})
    quality = drawn_quality(_greedy(tasks, small=[0] * tasks, large=[0] * tasks), samples)
    table = oracle_table(quality, design(about), level=0.95).set_index("strategy")
    assert table.loc[OTHER_DRAWS, "quality"] == pytest.approx(0.5, abs=0.01)
    assert table.loc[SAME_DRAWS, "quality"] > 0.6
    assert table.loc[LUCK, "low"] > 0.1


def test_where_answers_do_not_vary_there_is_no_luck():
    right = np.repeat(np.random.default_rng(1).random((50, 1)) < 0.5, 5, axis=1)
    greedy = _greedy(50, small=[0] * 50, large=[1, 0] * 25)
    same, other = oracles(drawn_quality(greedy, {"small": _samples(right)}))
    assert (same == other).all()
    assert (same == np.maximum(right[:, 0], greedy["large"])).all()


def test_without_drawn_answers_there_is_nothing_to_cross_fit():
    with pytest.raises(ValueError, match="at least two drawn answers"):
        drawn_quality(_greedy(3, small=[0] * 3), {"small": _samples([[1]] * 3)})
