import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from slm_orchestration.statistics import power
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.metrics import mixture_per_task
from slm_orchestration.statistics.power import PairedQualities
from slm_orchestration.statistics.resampling import Design
from slm_orchestration.statistics.strategy_matrix import strategy_matrix
from tests.statistics.examples import make_decisions, make_tasks, pool


def tasks_for_retention(retention: float, within: float, *, most_expensive_quality: float, disagreement: float) -> int:
    """Return how many tasks give retention an interval of ± `within`.

    For right/wrong quality: by the delta method a task's share of the ratio's variance is that of q_r - retention ·
    q_L over q_L². `disagreement` is the share of tasks on which the strategy and the model differ in being
    right.
    """
    if not 0 < most_expensive_quality <= 1 or not 0 <= disagreement <= 1:
        raise ValueError(
            f"shares lie between 0 and 1, got quality {most_expensive_quality:g}, disagreement {disagreement:g}"
        )
    quality = retention * most_expensive_quality
    lost, won = (
        (disagreement + most_expensive_quality - quality) / 2,
        (disagreement - most_expensive_quality + quality) / 2,
    )
    both = most_expensive_quality - lost
    if min(lost, won, both) < -1e-12:
        raise UndefinedStatistic(
            f"models that disagree on {disagreement:g} cannot have qualities {quality:g} and {most_expensive_quality:g}"
        )
    # The residual is 1 - retention where both are right, 1 where only the strategy is, -retention where only the
    # model is.
    variance = both * (1 - retention) ** 2 + won + lost * retention**2
    quantile = special.ndtri(1 - 0.05 / 2)
    return math.ceil((quantile / within) ** 2 * variance / most_expensive_quality**2)


def test_the_detectable_difference_is_rs(oracles):
    assert power.detectable_difference(0.5, 250) == pytest.approx(oracles["detectable_250_pairs_sd_05"][0], rel=1e-5)


def test_the_pairs_needed_are_rs(oracles):
    # R solves for a fraction of a pair.
    assert power.pairs_needed(0.02, 0.5) == int(oracles["pairs_needed_002_sd_05"][0]) + 1


@settings(max_examples=25, deadline=None)
@given(st.integers(10, 3000), st.floats(0.1, 1.0))
def test_the_pairs_needed_for_a_detectable_difference_are_those_it_was_found_with(pairs, spread):
    smallest = power.detectable_difference(spread, pairs)
    assert abs(power.pairs_needed(smallest * (1 + 1e-9), spread) - pairs) <= 1


def test_without_a_difference_the_power_is_the_level():
    assert power.power(0.0, 1.0, 100) == pytest.approx(0.05)
    assert power.power(0.0, 1.0, 20_000) == pytest.approx(0.05)


def test_a_retention_of_one_needs_only_what_the_disagreement_asks():
    # Half right, differing on a tenth of the tasks: ± 0.02 needs (1.96 / 0.02)² · 0.1 / 0.25 tasks.
    assert tasks_for_retention(1.0, 0.02, most_expensive_quality=0.5, disagreement=0.1) == 3842


def test_impossible_disagreement_is_refused():
    with pytest.raises(UndefinedStatistic, match="cannot have qualities"):
        tasks_for_retention(0.5, 0.02, most_expensive_quality=0.8, disagreement=0.1)


def test_no_number_of_tasks_shows_nothing():
    with pytest.raises(UndefinedStatistic, match="difference of 0"):
        power.pairs_needed(0.0, 1.0)


def test_one_pair_and_no_spread_are_refused():
    with pytest.raises(UndefinedStatistic, match="at least 2 pairs, got 1"):
        power.power(0.1, 1.0, 1)
    with pytest.raises(UndefinedStatistic, match="do not vary"):
        power.power(0.1, 0.0, 10)


@pytest.mark.parametrize("pairs", [2, 3, 4, 6, 11, 101])
def test_few_pairs_have_a_detectable_difference_too(pairs):
    assert power.power(power.detectable_difference(1.0, pairs), 1.0, pairs) == pytest.approx(0.8, abs=1e-6)


def one_task_per_group(count: int) -> Design:
    return Design(np.arange(count), np.zeros(count, dtype=int))


def recorded(count: int = 400, *, copies: int = 1) -> PairedQualities:
    rng = np.random.default_rng(0)
    most_expensive = (rng.random(count) < 0.6).astype(float)
    strategy = np.where(rng.random(count) < 0.2, 1 - most_expensive, most_expensive)
    group = np.repeat(np.arange(count), copies)
    plan = Design(group, np.zeros(count, dtype=int))
    return PairedQualities(np.repeat(strategy, copies), np.repeat(most_expensive, copies), plan)


def test_an_interval_of_the_retention_needs_the_tasks_of_the_delta_method():
    tasks = recorded()
    spread = np.std(tasks.strategy - 0.95 * tasks.most_expensive, ddof=1)
    expected = (1.959964 * spread / (0.02 * tasks.most_expensive.mean())) ** 2
    assert power.tasks_for_interval(tasks, retention=0.95, within=0.02, level=0.95) == int(expected) + 1


def test_recorded_variance_asks_for_as_many_tasks_as_the_formula_for_right_and_wrong():
    # Retention 1 with a fifth of the tasks answered otherwise: the formula's case, but for chance in the sample.
    found = power.tasks_for_interval(recorded(4000), retention=1.0, within=0.02, level=0.95)
    formula = tasks_for_retention(1.0, 0.02, most_expensive_quality=0.6, disagreement=0.2)
    assert found == pytest.approx(formula, rel=0.1)


def test_as_many_tasks_as_asked_show_the_retention_in_four_of_five_studies():
    tasks, rng = recorded(), np.random.default_rng(1)
    count = power.tasks_to_show(tasks, retention=0.95, within=0.1, level=0.95)
    above = tasks.strategy - 0.85 * tasks.most_expensive
    # Shifted so that the true retention is .95.
    above = above - above.mean() + 0.1 * tasks.most_expensive.mean()
    resampled = above[rng.integers(0, above.size, size=(4000, count))]
    shown = stats.ttest_1samp(resampled, 0, axis=1, alternative="greater").pvalue < 0.025
    assert shown.mean() == pytest.approx(0.8, abs=0.02)


def test_tasks_that_repeat_each_other_must_be_more():
    once, copied = (
        power.tasks_for_interval(recorded(copies=copies), retention=0.95, within=0.05, level=0.95) for copies in (1, 3)
    )
    assert copied == pytest.approx(3 * once, abs=3)


def test_more_tasks_detect_smaller_differences():
    found = [power.detectable_with(recorded(), tasks, level=0.95) for tasks in (100, 400, 1600)]
    assert found[0] / found[2] == pytest.approx(4, rel=0.02)


def test_what_cannot_be_planned_is_refused():
    flat = PairedQualities(np.ones(4), np.ones(4), Design(np.arange(4), np.zeros(4, dtype=int)))
    with pytest.raises(UndefinedStatistic, match="do not vary"):
        power.tasks_for_interval(flat, retention=0.95, within=0.02, level=0.95)
    wrong = PairedQualities(np.array([0.0, 1.0]), np.zeros(2), Design(np.arange(2), np.zeros(2, dtype=int)))
    with pytest.raises(UndefinedStatistic, match="the most expensive model is never right"):
        power.tasks_for_interval(wrong, retention=0.95, within=0.02, level=0.95)
    with pytest.raises(UndefinedStatistic, match="1 tasks make 1"):
        power.detectable_with(recorded(), 1, level=0.95)


def test_the_detectable_difference_of_single_tasks_is_that_of_the_paired_t_test(oracles):
    differences = np.random.default_rng(0).normal(size=(250, 1))
    differences *= 0.5 / differences.std(ddof=1)
    found = power.detectable(differences, one_task_per_group(250), alpha=0.05)
    assert found[0] == pytest.approx(oracles["detectable_250_pairs_sd_05"][0], rel=1e-5)
    assert np.isnan(power.detectable(np.ones((5, 1)), one_task_per_group(5), alpha=0.05)[0])


def test_equivalence_needs_the_pairs_at_which_two_one_sided_tests_find_it():
    # Simulated: of tests with that many pairs of mean 0, about 80 % find equivalence within the margin.
    margin, spread = 0.2, 1.0
    pairs = power.pairs_for_equivalence(margin, spread)
    values = np.random.default_rng(0).normal(0, spread, (4000, pairs))
    half = stats.t.ppf(0.95, pairs - 1) * values.std(axis=1, ddof=1) / np.sqrt(pairs)
    mean = values.mean(axis=1)
    assert ((mean - half > -margin) & (mean + half < margin)).mean() == pytest.approx(0.8, abs=0.02)
    assert power.pairs_for_equivalence(margin / 2, spread) == pytest.approx(4 * pairs, rel=0.02)


def test_the_table_of_gains_says_the_tasks_alone_and_in_the_family():
    tasks = make_tasks(400)
    table = replace(strategy_matrix(make_decisions(tasks), tasks, pool()), apart=frozenset({"guess"}))
    found = power.gains_table(table, [0.02, 0.01], level=0.95).set_index(["strategy", "gain", "tested"])
    mixed = mixture_per_task(table, np.ones(400, dtype=bool), "quality")
    differences = table.values["quality"] - mixed.expected - mixed.cost_term
    spread = differences[:, table.column("clever")].std(ddof=1)
    alone, family = (found.loc[("clever", 0.02, tested)] for tested in ("alone", "family of 5"))
    assert alone["tasks_to_show"] == power.pairs_needed(0.02, spread)
    assert family["tasks_to_show"] == power.pairs_needed(0.02, spread, alpha=0.01)
    assert found.loc[("clever", 0.01, "alone"), "tasks_to_show"] > 3.9 * alone["tasks_to_show"]


@pytest.mark.parametrize("alpha", [0.05, 0.01, 1e-3, 1e-4, 1e-6])
@pytest.mark.parametrize("sides", [1, 2])
def test_what_is_detectable_is_found_for_any_number_of_groups_and_any_corrected_level(alpha, sides):
    for groups in [*range(3, 40), 100, 1000]:
        found = power.detectable_difference(math.sqrt(groups), groups, alpha=alpha, sides=sides)
        assert power.power(found, math.sqrt(groups), groups, alpha=alpha, sides=sides) == pytest.approx(0.8, abs=1e-6)
