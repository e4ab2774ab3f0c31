"""The gain over random routing, split between and within datasets."""

import pandas as pd
import pytest

from slm_orchestration.figures.between_within import between_within
from tests.figures.read_back import fits, titles

# strategy: total, between, within, fitted without the datasets
GAINS = {"oracle": (0.4, 0.3, 0.1, None), "logistic": (0.1, 0.12, -0.02, 0.05), "random": (0.0, 0.0, 0.0, None)}


def _learned(small="org/small", large="org/large"):
    rows = []
    for strategy, (total, between, within, elsewhere) in GAINS.items():
        parts = [(False, "total", total), (False, "between", between), (False, "within", within)]
        parts += [(True, "total", elsewhere)] if elsewhere is not None else []
        rows += [
            {"table": "by hand", "small": small, "large": large, "strategy": strategy, "metric": "apgr"}
            | {
                "datasets_left_out": left_out,
                "part": part,
                "estimate": value,
                "low": value - 0.05,
                "high": value + 0.05,
            }
            for left_out, part, value in parts
        ]
    return pd.DataFrame(rows)


def test_the_parts_of_each_strategy_are_bars_in_a_fixed_order():
    (axes,) = between_within(_learned()).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["oracle", "logistic", "random"]
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    # within starts where between ends, or at 0 if it has the other sign
    assert bars[:4] == [pytest.approx(bar) for bar in [(0, 0.3), (0.3, 0.1), (0, 0.12), (0, -0.02)]]


def test_a_total_beyond_the_axis_is_a_number_and_the_hollow_dot_is_fitted_elsewhere():
    (axes,) = between_within(_learned()).axes
    # the axis ends at 1.25 times the highest end of a router's interval, .15
    assert axes.get_xlim()[1] == pytest.approx(1.25 * 0.15)
    assert [text.get_text() for text in axes.texts] == ["0.40 "]
    dots = {
        line.get_markerfacecolor(): float(line.get_xdata()[0]) for line in axes.get_lines() if line.get_marker() == "o"
    }
    assert dots["white"] == 0.05
    labels = axes.get_legend_handles_labels()[1]
    assert "total, fitted without these datasets" in labels and "between datasets" in labels


def test_a_pair_without_a_gap_is_left_out_and_the_others_have_a_panel_each():
    undefined = _learned(small="org/none").assign(estimate=None, low=None, high=None).astype({"estimate": float})
    figure = between_within(pd.concat([_learned(), _learned(small="org/" + "x" * 30), undefined]))
    assert titles(figure) == ["by hand\nsmall → large", f"by hand\n{'x' * 23}… → large"]
    assert fits(figure)
