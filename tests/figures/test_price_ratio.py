import numpy as np
import pandas as pd
import pytest

from slm_orchestration.figures.price_ratio import costs_at, price_ratio
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import fits, plotted


def test_a_saving_at_the_recorded_ratio_is_that_of_the_recorded_costs():
    called = [["small"]] * 6 + [["large"]] * 4
    rows = [
        {"task_id": f"task/{n}", "models_called": called[n], "cost_usd": 1e-6 if n < 6 else 4e-6} for n in range(10)
    ]
    saved = costs_at(pd.DataFrame(rows), by_hand.outcomes(), ["small", "large"], np.array([1.0, 4.0, 10.0])).saving()
    # 40 large calls' worth over 6 small and 4 large ones: at 1:1, at 4:1 and at 10:1.
    assert saved == pytest.approx([10 / 10, 40 / 22, 100 / 46])


def test_a_cascade_at_another_ratio_pays_both_calls_and_its_own_router():
    rows = [{"task_id": "task/0", "models_called": ["small", "large"], "cost_usd": 6e-6}]
    saved = costs_at(pd.DataFrame(rows), by_hand.outcomes(), ["small", "large"], np.array([4.0, 8.0])).saving()
    assert saved == pytest.approx([4 / (1 + 4 + 1), 8 / (1 + 8 + 1)])


def test_the_gain_is_over_a_mixture_at_the_cost_that_the_strategy_then_has():
    rows = [{"task_id": f"task/{n}", "models_called": ["large"] if n < 5 else ["small"]} for n in range(10)]
    served = pd.DataFrame(rows).assign(cost_usd=[4e-6] * 5 + [1e-6] * 5)
    costs = costs_at(served, by_hand.outcomes(), ["small", "large"], np.array([4.0, 1.0]))
    gain = costs.gain(0.7, 0.1, [0.4, 0.8])
    # At 4:1 half of each costs what the strategy does: .6. At 1:1 the large model alone does: .8.
    assert gain == pytest.approx([0.7 - 0.6, 0.7 - 0.8])


def test_the_ratio_as_recorded_is_marked():
    axes = price_ratio(by_hand.served(), by_hand.outcomes(), by_hand.estimates()).axes[0]
    assert plotted(axes, "recorded ratio")[0][0] == pytest.approx(4.0)


def test_nothing_is_cut_off_at_the_edge():
    assert fits(price_ratio(by_hand.served(), by_hand.outcomes(), by_hand.estimates()))
