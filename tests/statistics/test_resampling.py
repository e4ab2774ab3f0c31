import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_orchestration.statistics.resampling import (
    Design,
    Draws,
    covariance,
    design,
    group_sums,
    jackknife_means,
    restrict,
    weighted_medians,
)


def tasks_of(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["domain", "dataset", "group"])


def singles(count: int) -> Design:
    return Design(np.arange(count), np.zeros(count, dtype=int))


def test_groups_are_drawn_within_their_dataset():
    plan = Design(np.array([0, 0, 1, 2, 3, 4]), np.array([0, 0, 1, 1, 1]))
    for _, weights in Draws(plan, 200, seed=0).blocks():
        assert np.allclose(weights[:2].sum(axis=0), 2)
        assert np.allclose(weights[2:].sum(axis=0), 3)
        # n - 1 of n are drawn: of two groups one, which then stands for both.
        assert set(np.unique(weights[:2])) == {0.0, 2.0}


def test_equal_seeds_give_equal_draws_however_often_they_are_walked():
    draws = Draws(singles(7), 50, seed=3)
    first, second = next(draws.blocks())[1], next(draws.blocks())[1]
    assert np.array_equal(first, second)
    assert not np.array_equal(first, next(Draws(singles(7), 50, seed=4).blocks())[1])


def test_many_blocks_hold_every_resample_once(monkeypatch):
    monkeypatch.setattr("slm_orchestration.statistics.resampling._BLOCK_CELLS", 70)
    blocks = list(Draws(singles(10), 25, seed=0).blocks())
    assert [(rows.start, rows.stop) for rows, _ in blocks] == [(0, 7), (7, 14), (14, 21), (21, 25)]


def test_resampled_means_spread_as_much_as_the_standard_error_even_of_three_tasks():
    values = np.array([[0.0], [3.0], [6.0]])
    means = Draws(singles(3), 40_000, seed=0).means(values, np.ones(3))
    # s² / n = 9 / 3; a bootstrap that draws all n would give 2.
    assert means.var() == pytest.approx(3.0, rel=0.03)


def test_the_mean_weighs_groups_by_their_tasks():
    plan = Design(np.array([0, 0, 0, 1]), np.array([0, 0]))
    sums = group_sums(np.array([[1.0], [2.0], [3.0], [10.0]]), plan)
    assert sums.tolist() == [[6.0], [10.0]]
    means = Draws(plan, 20, seed=0).means(sums, np.array([3.0, 1.0]))
    assert set(np.round(means.ravel(), 9)) == {2.0, 10.0}


def test_a_dataset_with_one_group_joins_others_of_its_domain():
    plan = design(
        tasks_of(("a", "one", "g1"), ("a", "two", "g2"), ("b", "big", "g3"), ("b", "big", "g4"), ("b", "small", "g5"))
    )
    assert plan.stratum[0] == plan.stratum[1]
    assert plan.stratum[2] == plan.stratum[3] == plan.stratum[4]
    assert plan.stratum_sizes.tolist() == [2, 3]


def test_domains_with_one_group_each_are_joined():
    plan = design(tasks_of(("a", "x", "g1"), ("b", "y", "g2"), ("c", "z", "g3")))
    assert plan.stratum_sizes.tolist() == [3]


def test_one_group_cannot_be_resampled():
    with pytest.raises(ValueError, match="at least 2 groups of tasks, got 1"):
        design(tasks_of(("a", "x", "g"), ("a", "x", "g")))


def test_a_group_that_spans_datasets_is_drawn_as_one():
    plan = design(tasks_of(("a", "x", "g1"), ("a", "y", "g1"), ("a", "x", "g2"), ("a", "y", "g3"), ("a", "y", "g4")))
    assert plan.group.tolist() == [0, 0, 1, 2, 3]
    assert plan.stratum.tolist() == [0, 0, 1, 1]


def test_restricting_to_a_domain_keeps_all_groups_of_its_strata():
    plan = Design(np.array([0, 1, 2, 3]), np.array([0, 0, 1, 1]))
    within, groups = restrict(plan, np.array([False, False, True, False]))
    assert groups.tolist() == [2, 3]
    assert within.group.tolist() == [0]
    assert within.stratum.tolist() == [0, 0]


def test_the_jackknife_leaves_out_one_group_and_keeps_the_strata_in_balance():
    plan = Design(np.arange(5), np.array([0, 0, 0, 1, 1]))
    values = np.array([[0.0], [3.0], [6.0], [10.0], [20.0]])
    jackknife = jackknife_means(values, np.ones(5), plan)
    # Without the 0: the first stratum's mean rises to 4.5 and keeps its weight of three fifths.
    assert jackknife[0, 0] == pytest.approx((3 * 4.5 + 30) / 5)
    assert jackknife[4, 0] == pytest.approx((9 + 2 * 10) / 5)


def test_the_covariance_of_one_stratum_of_single_tasks_is_the_textbook_one():
    table = np.random.default_rng(0).normal(size=(40, 3))
    assert np.allclose(covariance(table, np.ones(40), singles(40)), np.cov(table.T) / 40)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10_000))
def test_weighted_medians_are_the_medians_of_the_repeated_values(count, seed):
    rng = np.random.default_rng(seed)
    values, group = rng.normal(size=count).round(1), rng.integers(0, 5, size=count)
    counts = rng.integers(0, 4, size=(5, 8))
    counts[group[0]] += 1
    repeated = [np.repeat(values, column[group]) for column in counts.T]
    expected = [np.quantile(values, 0.5, method="inverted_cdf") for values in repeated]
    assert weighted_medians(values, group, counts.astype(float)).tolist() == expected


def test_medians_far_from_the_samples_median_are_found_too():
    values, weights = np.arange(1000.0), np.full((1000, 2), 1e-9)
    weights[7, 0] = weights[990, 1] = 5.0
    assert weighted_medians(values, np.arange(1000), weights).tolist() == [7.0, 990.0]
