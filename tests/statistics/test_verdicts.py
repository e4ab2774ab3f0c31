import numpy as np
import pandas as pd

from slm_orchestration.statistics.verdicts import against_mixture, quality_equivalent, quality_kept


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


def test_only_an_interval_wholly_above_zero_beats_the_mixture():
    assert against_mixture(0.01, 0.2, None) == "beats the mixture"
    assert against_mixture(0.0, 0.2, None) == "not shown to beat it"
    assert against_mixture(-0.2, -0.01, None) == "falls short of it"
    assert against_mixture(None, None, None) == "no interval"
    assert against_mixture(float("nan"), 0.2, None) == "no interval"


def test_a_gain_is_shown_only_where_the_interval_and_the_corrected_test_agree():
    assert against_mixture(0.01, 0.2, 0.01) == "beats the mixture"
    assert against_mixture(0.01, 0.2, 0.06) == "not shown to beat it"
    assert against_mixture(-0.01, 0.2, 0.01) == "not shown to beat it"
    assert against_mixture(-0.2, -0.01, 0.06) == "not shown to beat it"
    assert against_mixture(-0.2, -0.01, 0.01) == "falls short of it"
