import numpy as np
import pingouin
import pytest
from scipy import stats

from slm_orchestration.statistics import paired_tests
from slm_orchestration.statistics.resampling import Design


def singles(count: int) -> Design:
    return Design(np.arange(count), np.zeros(count, dtype=int))


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_the_paired_t_test_is_rs_on_students_sleep_data(oracles):
    differences = column(*np.subtract(oracles["after"], oracles["before"]))
    statistic, p = paired_tests.paired_t(differences, singles(10))
    assert statistic[0] == pytest.approx(oracles["paired_t"][0], rel=1e-12)
    assert p[0] == pytest.approx(oracles["paired_p"][0], rel=1e-10)


def test_effect_sizes_are_pingouins(oracles):
    after, before = column(*oracles["after"]), column(*oracles["before"])
    for ours, name in ((paired_tests.cohen_d_av, "cohen"), (paired_tests.hedges_g_av, "hedges")):
        theirs = pingouin.compute_effsize(oracles["after"], oracles["before"], paired=True, eftype=name)
        assert ours(after, before)[0] == pytest.approx(theirs, rel=1e-12)
    assert paired_tests.cohen_d_z(after - before)[0] == pytest.approx(oracles["paired_t"][0] / np.sqrt(10))


def test_tasks_copied_within_their_groups_prove_nothing_more():
    differences = np.random.default_rng(0).normal(0.3, 1, size=(30, 2))
    once = paired_tests.paired_t(differences, singles(30))
    copied = paired_tests.paired_t(
        np.repeat(differences, 4, axis=0), Design(np.repeat(np.arange(30), 4), np.zeros(30, int))
    )
    assert np.allclose(once, copied)


def test_differences_that_do_not_vary_have_no_t():
    statistic, p = paired_tests.paired_t(np.full((5, 1), 0.3), singles(5))
    assert np.isnan(statistic[0]) and np.isnan(p[0])
    assert np.isnan(paired_tests.cohen_d_z(np.full((5, 1), 0.3))[0])


def test_one_group_cannot_be_tested():
    with pytest.raises(ValueError, match="at least 2 groups of tasks, got 1"):
        paired_tests.paired_t(column(1.0, 2.0), Design(np.array([0, 0]), np.array([0])))


def test_mcnemar_is_rs_exact_binomial(oracles):
    differences = column(*[1.0] * 8, *[-1.0] * 2, *[0.0] * 30)
    won, p, g = paired_tests.mcnemar_exact(differences, singles(40))
    assert won[0] == 8
    assert p[0] == pytest.approx(oracles["mcnemar_exact_8_2"][0], rel=1e-12)
    assert g[0] == pytest.approx(0.3)


def test_mcnemar_without_discordant_tasks_has_no_p():
    won, p, g = paired_tests.mcnemar_exact(np.zeros((5, 1)), singles(5))
    assert won[0] == 0 and np.isnan(p[0]) and np.isnan(g[0])


def test_a_permutation_p_is_never_zero_and_counts_the_observed_order():
    p = paired_tests.sign_flips(np.ones((40, 1)), singles(40), flips=99, seed=0)
    assert p[0] == pytest.approx(1 / 100)


def test_the_permutation_p_nears_the_exact_share_of_sign_patterns():
    # Of the 8 sign patterns of (1, 2, 4), only all plus and all minus sum to 7 or more in size.
    p = paired_tests.sign_flips(column(1.0, 2.0, 4.0), singles(3), flips=20_000, seed=0)
    assert p[0] == pytest.approx(2 / 8, abs=0.01)


def test_permutation_flips_whole_groups():
    design = Design(np.array([0, 0, 1, 1]), np.array([0, 0]))
    p = paired_tests.sign_flips(column(1, 1, 1, 1), design, flips=20_000, seed=0)
    assert p[0] == pytest.approx(1 / 2, abs=0.01)


def test_equal_seeds_give_equal_permutations():
    differences = np.random.default_rng(0).normal(size=(20, 3))
    first, second, other = (
        paired_tests.sign_flips(differences, singles(20), flips=500, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_a_very_small_p_is_not_zero():
    differences = np.random.default_rng(0).normal(100, 1, size=(3000, 1))
    assert 0 < paired_tests.paired_t(differences, singles(3000))[1][0] < 1e-300
    assert 0 < paired_tests.mcnemar_exact(np.ones((3000, 1)), singles(3000))[1][0] < 1e-300


def test_the_one_sided_test_is_scipys():
    differences = np.random.default_rng(3).normal(0.1, 1, size=(50, 2)) * [1, -1]
    expected = stats.ttest_1samp(differences, 0, alternative="greater")
    statistic, p = paired_tests.one_sided_t(differences, singles(50))
    assert np.allclose(statistic, expected.statistic) and np.allclose(p, expected.pvalue)


def test_the_centred_bootstrap_counts_resamples_as_far_as_zero():
    # Around 2, the resamples 0 and 5 lie at least 2 away, and 1 and 3 do not: (1 + 2) / (1 + 4).
    assert paired_tests.centred_bootstrap(np.array([2.0]), np.array([[0.0, 1.0, 3.0, 5.0]]))[0] == pytest.approx(3 / 5)


def test_resamples_that_differ_by_rounding_alone_have_no_p():
    assert np.isnan(paired_tests.centred_bootstrap(np.array([0.3]), np.array([[0.3, 0.1 + 0.2, 0.3]]))[0])


def test_equivalence_is_rs_pair_of_one_sided_tests(oracles):
    after, before = column(*oracles["after"]), column(*oracles["before"])
    _, p = paired_tests.equivalence(after - 0.5 * before, 4 * before - after, singles(10))
    assert p[0] == pytest.approx(oracles["tost_p_half_to_four_times"][0], rel=1e-10)


def test_non_inferiority_is_rs(oracles):
    above = column(*(np.array(oracles["after"]) - 0.95 * np.array(oracles["before"])))
    assert paired_tests.one_sided_t(above, singles(10))[1][0] == pytest.approx(
        oracles["non_inferiority_095_p"][0], rel=1e-10
    )


def test_infinite_differences_are_refused():
    with pytest.raises(ValueError, match="finite differences, got 1 infinite"):
        paired_tests.paired_t(column(1.0, np.inf, 2.0), singles(3))
