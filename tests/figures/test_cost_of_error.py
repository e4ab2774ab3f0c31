import numpy as np
import pytest

from slm_orchestration.figures.cost_of_error import cost_of_error, relative_total
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import fits, plotted


def test_the_total_cost_is_that_of_calls_at_first_and_of_errors_at_last():
    prices = np.array([0.0, 1.0, 1e9])
    # Half the cost and three wrong in ten, beside two wrong in ten.
    assert relative_total((2.0, 0.7), (4.0, 0.8), prices) == pytest.approx([0.5, 0.8 / 1.2, 1.5])
    axes = cost_of_error(by_hand.estimates()).axes[0]
    first, last = (plotted(axes, "total:adaptive")[place] for place in (0, -1))
    assert first == pytest.approx((0.1, (0.5 + 0.03) / (1 + 0.02)))
    assert last == pytest.approx((1000.0, (0.5 + 300) / (1 + 200)))


def test_nothing_is_cut_off_at_the_edge():
    assert fits(cost_of_error(by_hand.estimates()))
