"""The map of feasible small shares: dots, medians, the line of random mixing and the claim."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.figures.feasibility_map import feasibility_map
from tests.figures.read_back import fits, plotted

CLAIM = {"retention": 0.95, "claimed_share": 0.712, "claimed_saving": 8.3}


def _pairs(count):
    ratio = np.linspace(0.5, 0.99, count)
    parts = [
        pd.DataFrame({"strategy": strategy, "ratio": ratio, "small_share": ratio * scale})
        for strategy, scale in (("random", 0.1), ("knn", 0.5), ("oracle", 1.0))
    ]
    return pd.concat(parts, ignore_index=True)


def test_a_dot_per_pair_of_the_router_and_of_the_oracle():
    axes = feasibility_map(_pairs(3), **CLAIM).axes[0]
    router, oracle = (collection.get_offsets().tolist() for collection in axes.collections)
    assert router == [pytest.approx([ratio, ratio * 0.5]) for ratio in (0.5, 0.745, 0.99)]
    assert oracle == [pytest.approx([ratio, ratio]) for ratio in (0.5, 0.745, 0.99)]


def test_random_mixing_may_leave_as_much_as_loses_the_allowed_share():
    axes = feasibility_map(_pairs(3), **CLAIM).axes[0]
    line = np.array(plotted(axes, "random = mixture of the pair"))
    # at a ratio of .75 a fifth of the tasks: .05 / .25
    assert np.interp(0.75, line[:, 0], line[:, 1]) == pytest.approx(0.2, abs=1e-3)
    assert line[-1].tolist() == [1.0, 1.0]


def test_the_claim_and_the_share_that_its_saving_needs_are_marked():
    axes = feasibility_map(_pairs(3), **CLAIM).axes[0]
    assert [text.get_text() for text in axes.texts] == [
        " claimed small share, 71.2%",
        " least share for the claimed saving, 8.3×: 88.0%",
    ]
    heights = [line.get_ydata()[0] for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert heights == pytest.approx([0.712, 1 - 1 / 8.3])


def test_medians_of_neighbouring_pairs_are_drawn_where_there_are_enough():
    few, many = (len(feasibility_map(_pairs(count), **CLAIM).axes[0].get_lines()) for count in (19, 80))
    assert many == few + 2
    axes = feasibility_map(_pairs(80), **CLAIM).axes[0]
    medians = np.array(axes.get_lines()[0].get_xydata())
    assert len(medians) == 10  # eight pairs each
    assert medians[:, 1] == pytest.approx(medians[:, 0] * 0.5)


def test_nothing_is_cut_off_at_the_edge():
    assert fits(feasibility_map(_pairs(30), **CLAIM))
