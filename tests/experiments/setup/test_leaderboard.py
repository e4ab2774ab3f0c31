"""The leaderboard's words: better, worse, or undecided with the smallest detectable difference."""

import numpy as np
import pandas as pd
import pytest

from experiments.setup.leaderboard import leaderboard, operating_decisions, read_hull


def _tables(*strategies):
    estimates, comparisons = [], []
    for name, gain, t, p, detectable in strategies:
        estimates.append((name, "overall", "gain_over_mixture", gain, gain - 0.1, gain + 0.1))
        comparisons.append(
            (name, "mixture", "overall", "quality", "paired_t", gain, gain - 0.1, gain + 0.1, t, p, detectable, 0.4)
        )
    estimates.append(("good", "overall", "apgr", 0.75, 0.6, 0.9))
    return (
        pd.DataFrame(estimates, columns=["strategy", "domain", "metric", "estimate", "low", "high"]).assign(method=""),
        pd.DataFrame(
            comparisons,
            columns=[
                *("strategy", "baseline", "domain", "metric", "test"),
                *("difference", "low", "high", "statistic", "p_adjusted", "detectable", "equivalent_within"),
            ],
        ),
    )


def test_strategies_are_sorted_by_their_gain_and_each_has_a_verdict():
    tables = _tables(("bad", -0.2, -4.0, 0.001, 0.14), ("good", 0.2, 4.0, 0.001, 0.14), ("so_so", 0.1, 1.0, 0.9, 0.28))
    board = leaderboard(*tables, {"good": 0.002}).set_index("strategy")
    assert list(board.index) == ["good", "so_so", "bad"]
    assert board.loc["good", "APGR"] == "0.75 [0.60, 0.90]"
    assert board.loc["good", "overhead ms"] == "2.0"
    assert board["verdict"].tolist() == ["better", "undecided (finds ±0.280, excludes ±0.400)", "worse"]


def test_privileged_references_are_marked_and_the_mixture_has_no_verdict():
    estimates, comparisons = _tables(("oracle", 0.3, 5.0, 0.001, 0.1), ("always_small", 0.0, 0.0, 1.0, np.nan))
    declared = {"strategy": "oracle", "domain": "overall", "metric": "privileged", "estimate": 1.0}
    board = leaderboard(pd.concat([estimates, pd.DataFrame([declared])]), comparisons, {}).set_index("strategy")
    assert list(board.index) == ["oracle (privileged)", "always_small"]
    assert board.loc["always_small", "verdict"] == "the mixture itself"


def test_no_difference_on_the_whole_is_not_the_mixture_where_tasks_differ():
    board = leaderboard(*_tables(("even", 0.0, 0.0, 1.0, 0.05)), {})
    assert board.loc[0, "verdict"] == "undecided (finds ±0.050, excludes ±0.400)"


def test_a_rounded_zero_has_no_minus_sign():
    estimates, comparisons = _tables(("even", -0.0001, -0.1, 0.9, 0.05))
    assert leaderboard(estimates, comparisons, {}).loc[0, "gain over mixture"].startswith("+0.000 ")


def test_without_runs_the_command_to_make_them_is_named(tmp_path):
    with pytest.raises(ValueError, match="no runs to analyse; run `make sweep`"):
        operating_decisions(tmp_path)


def test_without_a_hull_the_command_to_make_it_is_named(tmp_path):
    with pytest.raises(ValueError, match="routing=mixture first"):
        read_hull(tmp_path)
