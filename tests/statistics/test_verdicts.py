import numpy as np
import pandas as pd

from slm_orchestration.statistics.verdicts import gain_verdicts, quality_equivalent, quality_kept


def rows(**p: float) -> pd.DataFrame:
    frame = pd.DataFrame({"strategy": list(p), "p_value": list(p.values())})
    frame = frame.assign(p_adjusted=frame["p_value"] * 2, baseline="always_big", domain="overall", detectable=0.1)
    return pd.concat([frame.assign(test=test) for test in ("non_inferiority", "equivalence")], ignore_index=True)


def test_a_strategy_that_keeps_quality_is_named_and_whether_random_does_too():
    assert quality_kept(rows(knn=0.001, random=0.4), margin=0.95, level=0.95).endswith("Holm): knn; random does not")
    # Random is judged before the correction.
    assert quality_kept(rows(knn=0.001, random=0.02), margin=0.95, level=0.95).endswith("knn; random passes too")


def test_where_nothing_is_shown_the_smallest_differences_stand_beside():
    kept = quality_kept(rows(knn=0.5), margin=0.95, level=0.95)
    assert "shown for none; smallest detectable difference 0.100 to 0.100" in kept
    assert "undecided for all; 0.100 to 0.100 is the smallest" in quality_equivalent(
        rows(knn=0.5), margin=0.95, level=0.95
    )


def test_a_most_expensive_model_no_better_than_guess_leaves_nothing_to_test():
    assert quality_kept(rows(knn=np.nan), margin=0.95, level=0.95).endswith("not shown to be better than guess")


def test_the_most_expensive_model_itself_is_no_finding():
    said = quality_equivalent(rows(always_big=1e-9, knn=0.5), margin=0.95, level=0.95)
    assert "always_big" not in said


def gain(low, high, p_adjusted, *, difference=0.1, detectable=0.05):
    row = {"strategy": "a", "baseline": "mixture", "domain": "overall", "metric": "quality", "test": "paired_t"}
    row |= {"difference": difference, "low": low, "high": high, "p_adjusted": p_adjusted}
    return gain_verdicts(pd.DataFrame([row | {"detectable": detectable, "equivalent_within": 0.12}]))["a"]


def test_a_gain_is_shown_only_where_the_interval_and_the_corrected_test_agree():
    assert gain(0.01, 0.2, 0.05).word == "better"
    assert gain(0.01, 0.2, 0.051).word == "undecided"
    assert gain(0.0, 0.2, 0.01).word == "undecided"
    assert gain(-0.2, -0.01, 0.06).word == "undecided"
    assert gain(-0.2, -0.01, 0.01).word == "worse"


def test_undecided_says_what_could_have_been_found_and_what_is_excluded():
    assert str(gain(-0.01, 0.2, 0.06)) == "undecided (finds ±0.050, excludes ±0.120)"
    assert str(gain(0.01, 0.2, 0.01)) == "better"


def test_what_does_not_vary_has_no_test():
    assert gain(np.nan, np.nan, np.nan).word == "no interval"
    assert gain(np.nan, np.nan, np.nan, difference=0.0, detectable=np.nan).word == "the mixture itself"


def test_other_tests_metrics_and_domains_are_no_verdict():
    row = {"strategy": "a", "baseline": "mixture", "domain": "overall", "metric": "latency_s", "test": "paired_t"}
    assert gain_verdicts(pd.DataFrame([row])) == {}
