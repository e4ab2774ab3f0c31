from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from slm_orchestration.statistics.bootstrap import resample
from slm_orchestration.statistics.comparisons import adjust, compare, corrected_levels, holm
from slm_orchestration.statistics.estimates import summarise
from slm_orchestration.statistics.metrics import mixture_mean, mixture_per_task
from slm_orchestration.statistics.power import detectable_difference
from slm_orchestration.statistics.strategy_matrix import strategy_matrix
from tests.statistics.examples import make_decisions, make_tasks, pool, small_matrix

COSTS = {"always_tiny": 1.0, "always_mid": 2.0, "always_big": 4.0, "guess": 0.0, "router": 2.0}


@pytest.fixture(scope="module")
def made():
    tasks = make_tasks(400)
    table = strategy_matrix(make_decisions(tasks), tasks, pool())
    parts = resample(table, resamples=400, seed=0)
    return table, parts, compare(table, parts, seed=0, level=0.95, margin=0.95)


def pick(comparisons: pd.DataFrame, *key: str) -> pd.Series:
    return comparisons.set_index(["strategy", "baseline", "metric", "test", "domain"]).loc[key]


def test_the_paired_t_test_against_the_most_expensive_model_is_scipys(made):
    table, _, comparisons = made
    quality = table.values["quality"]
    expected = stats.ttest_rel(quality[:, table.column("clever")], quality[:, table.column("always_big")])
    row = pick(comparisons, "clever", "always_big", "quality", "paired_t", "overall")
    assert row.statistic == pytest.approx(expected.statistic)
    assert row.p_value == pytest.approx(expected.pvalue)
    assert row.effect_size == pytest.approx(expected.statistic / np.sqrt(400))
    assert (row.effect_name, row.tasks) == ("cohen_d_z", 400)


def test_the_difference_from_the_mixture_is_the_gain_with_its_interval(made):
    _, parts, comparisons = made
    gains = summarise(parts, level=0.95).query("metric == 'gain_over_mixture' and domain == 'overall'")
    rows = comparisons.query(
        "baseline == 'mixture' and metric == 'quality' and test == 'paired_t' and domain == 'overall'"
    )
    merged = rows.merge(gains, on="strategy")
    assert len(merged) == 6
    for ours, theirs in (("difference", "estimate"), ("low_x", "low_y"), ("high_x", "high_y")):
        assert np.allclose(merged[ours], merged[theirs], equal_nan=True, atol=1e-12)


def test_per_task_gains_add_up_to_the_gain_and_spread_as_its_resamples_do(made):
    table, parts, _ = made
    part = parts["overall"]
    mixed = mixture_per_task(table, part.domain.rows, "quality")
    per_task = table.values["quality"] - mixed.expected - mixed.cost_term
    gains = part.resampled.quality - mixture_mean(part.resampled, "quality")
    for strategy in ("clever", "chance"):
        index = table.column(strategy)
        assert per_task[:, index].mean() == pytest.approx(
            (part.observed.quality - mixture_mean(part.observed, "quality"))[0, index]
        )
        error = per_task[:, index].std(ddof=1) / np.sqrt(400)
        assert gains[:, index].std() == pytest.approx(error, rel=0.12)


def test_a_vertex_of_the_mixture_does_not_differ_from_it(made):
    row = pick(made[2], "always_big", "mixture", "quality", "paired_t", "overall")
    assert row.difference == 0.0 and np.isnan(row.p_value) and np.isnan(row.low)


def test_what_equals_a_model_that_the_mixture_misses_is_not_better_than_it():
    tasks = make_tasks(400)
    whole = strategy_matrix(make_decisions(tasks), tasks, pool())
    middle, clever = whole.column("always_mid"), whole.column("clever")
    values = {name: of.copy() for name, of in whole.values.items()}
    values["quality"][:, middle] = 1.0
    for of in values.values():
        of[:, clever] = of[:, middle]
    hull = replace(whole.references, hull=("always_tiny", "always_big"))
    missing = replace(whole, values=values, references=hull)
    parts = resample(missing, resamples=200, seed=0, per_domain=False)
    compared = compare(missing, parts, seed=0, level=0.95, margin=0.95)
    row = pick(compared, "clever", "mixture", "quality", "paired_t", "overall")
    assert row.difference > 0.1 and row.low > 0
    assert row.p_value == 1.0


def test_costs_are_equal_to_the_mixtures_so_they_are_not_tested(made):
    assert set(made[2].query("baseline == 'mixture'")["metric"]) == {"quality", "latency_s"}


def test_mcnemar_is_made_only_where_quality_is_right_or_wrong():
    quality = {
        "always_tiny": [1, 0, 1, 0, 0, 0], "always_mid": [1] * 6, "always_big": [0.5, 1, 1, 0, 1, 1],
        "guess": [0] * 6, "router": [1, 1, 1, 0, 1, 1],
    }  # fmt: skip
    graded = small_matrix(quality, COSTS)
    binary = small_matrix({name: np.round(values).tolist() for name, values in quality.items()}, COSTS)
    for table, made in ((graded, False), (binary, True)):
        comparisons = compare(table, resample(table, resamples=50, seed=0), seed=0, level=0.95, margin=0.95)
        assert ("mcnemar_exact" in set(comparisons["test"])) is made


def test_keeping_the_quality_of_a_model_no_better_than_guess_is_not_tested():
    quality = {name: [1, 0, 1, 0, 1, 0] for name in COSTS}
    quality["guess"] = [0, 1, 0, 1, 0, 1]
    table = small_matrix(quality, COSTS)
    comparisons = compare(table, resample(table, resamples=50, seed=0), seed=0, level=0.95, margin=0.95)
    kept = comparisons.query("test == 'non_inferiority'")
    assert len(kept) > 0 and kept["p_value"].isna().all()


def test_non_inferiority_tests_the_quality_above_the_margin(made):
    table, _, comparisons = made
    quality = table.values["quality"]
    above = quality[:, table.column("clever")] - 0.95 * quality[:, table.column("always_big")]
    row = pick(comparisons, "clever", "always_big", "quality_above_margin", "non_inferiority", "overall")
    assert row.difference == pytest.approx(above.mean())
    assert row.p_value == pytest.approx(stats.ttest_1samp(above, 0, alternative="greater").pvalue)


def test_families_are_corrected_as_r_does(oracles):
    def rows(domains, strategies):
        columns = {"domain": domains, "strategy": strategies, "p_value": oracles["p"]}
        return pd.DataFrame(columns).assign(baseline="b", metric="quality", test="paired_t")

    names = list("abcdef")
    assert adjust(rows("overall", names).assign(competes=True))["p_adjusted"].tolist() == pytest.approx(oracles["holm"])
    assert adjust(rows(names, "one").assign(competes=True))["p_adjusted"].tolist() == pytest.approx(oracles["bh"])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_statsmodels(p):
    assert np.allclose(holm(np.array(p)), multipletests(p, method="holm")[1])


def test_what_stands_apart_is_no_part_of_the_family():
    rows = pd.DataFrame({"domain": "overall", "strategy": list("abc"), "p_value": [0.02, 0.03, 0.001]})
    rows = rows.assign(baseline="m", metric="quality", test="paired_t", competes=[True, True, False])
    assert adjust(rows)["p_adjusted"].tolist() == pytest.approx([0.04, 0.04, 0.001])


def test_power_is_that_of_the_test_that_decides():
    # Of 4 tests Holm rejects the first at .05 / 4; the others must pass .05 / 3.
    rows = pd.DataFrame({"domain": "overall", "strategy": list("abcd"), "p_value": [0.001, 0.02, 0.5, 0.9]})
    rows = rows.assign(baseline="m", metric="quality", test="paired_t", competes=True)
    assert corrected_levels(rows, level=0.95).tolist() == pytest.approx([0.05 / 4, 0.05 / 3, 0.05 / 3, 0.05 / 3])
    one_sided = corrected_levels(rows.assign(test="equivalence"), level=0.95)
    assert one_sided.tolist() == pytest.approx([0.025 / 4, 0.025 / 3, 0.025 / 3, 0.025 / 3])


def test_in_a_family_of_many_a_larger_difference_is_needed(made):
    table, parts, alone = made
    apart = frozenset(table.strategies) - {"clever"}
    single = compare(replace(table, apart=apart), parts, seed=0, level=0.95, margin=0.95)
    key = ("clever", "mixture", "quality", "paired_t", "overall")
    few, many = pick(single, *key), pick(alone, *key)
    assert many.detectable > few.detectable
    assert many.equivalent_within > few.equivalent_within
    mixed = mixture_per_task(table, parts["overall"].domain.rows, "quality")
    differences = table.values["quality"] - mixed.expected - mixed.cost_term
    spread = differences[:, table.column("clever")].std(ddof=1)
    assert few.detectable == pytest.approx(detectable_difference(spread, 400))
    bound = abs(few.difference) + stats.t.ppf(0.95, 399) * spread / 20
    assert few.equivalent_within == pytest.approx(bound)


def test_missing_p_values_are_no_part_of_a_family():
    rows = pd.DataFrame({"domain": "overall", "strategy": ["a", "b"], "p_value": [0.04, np.nan]})
    adjusted = adjust(rows.assign(baseline="b", metric="quality", test="paired_t", competes=True))["p_adjusted"]
    assert adjusted[0] == 0.04 and np.isnan(adjusted[1])


def test_equal_seeds_give_equal_comparisons(made):
    table, parts, comparisons = made
    again = compare(table, parts, seed=0, level=0.95, margin=0.95)
    pd.testing.assert_frame_equal(again, comparisons, check_exact=True)


def test_a_domain_of_one_group_is_not_compared():
    tasks = make_tasks(40)
    lonely = tasks["domain"] == "domain-1"
    tasks.loc[lonely, ["dataset", "group"]] = ["domain-1/alone", "domain-1/alone/0"]
    table = strategy_matrix(make_decisions(tasks), tasks, pool())
    comparisons = compare(table, resample(table, resamples=50, seed=0), seed=0, level=0.95, margin=0.95)
    assert set(comparisons["domain"]) == {"overall", "domain-0"}
