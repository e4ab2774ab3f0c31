from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_orchestration.report.claims import Claim, Evidence, from_rows, quotes, readings, trivial_curves
from slm_orchestration.statistics.verdicts import against_target
from tests.figures import tables_by_hand as by_hand

SHARE = Claim("share", "50 %", "share of small tasks", "routing", strategy="adaptive", metric="small_share", target=0.5)
COST = Claim("cost", "3×", "cost", "routing", "adaptive", "cost_saving", target=3.0, ceiling_from="share")


def estimates(rows: list[tuple[str, str, float | None, float | None]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["strategy", "metric", "low", "high"])
    return frame.assign(domain="overall", estimate=(frame["low"] + frame["high"]) / 2, method="by hand")


NOTHING = pd.DataFrame(columns=["strategy", "domain", "metric", "estimate", "low", "high", "method"])
NO_CURVE = pd.DataFrame(columns=["small_share", "cost_saving"])


def evidence(rows, *, repeated=(), trivial=NO_CURVE) -> Evidence:
    again = estimates(list(repeated)) if repeated else NOTHING
    return Evidence(estimates(rows), again, NOTHING, by_hand.comparisons(), trivial)


def decided(claims: list[Claim], rows, **others) -> list[str]:
    return readings(claims, evidence(rows, **others))["verdict"].tolist()


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.72, 0.80, "supported"),
        (0.71, 0.80, "supported"),
        (0.60, 0.70, "not supported"),
        (0.60, 0.71, "undecided"),
        (0.60, 0.80, "undecided"),
        (None, 0.80, "not testable here"),
        (float("nan"), float("nan"), "not testable here"),
    ],
)
def test_a_verdict_follows_from_where_the_interval_lies(low: float | None, high: float | None, said: str):
    assert against_target(low, high, target=0.71, at_least=True) == said


def test_a_claim_of_at_most_is_the_mirror_image():
    assert against_target(0.2, 0.4, target=0.5, at_least=False) == "supported"
    assert against_target(0.6, 0.9, target=0.5, at_least=False) == "not supported"
    assert against_target(0.4, 0.6, target=0.5, at_least=False) == "undecided"


def test_what_some_threshold_of_random_routing_meets_too_is_vacuous():
    meets = [("adaptive", "small_share", 0.6, 0.8)]
    assert decided([SHARE], meets) == ["supported"]
    for shares, said in (([0.1, 0.3], "supported"), ([0.1, 0.9], "met, vacuous")):
        assert decided([SHARE], meets, trivial=pd.DataFrame({"small_share": shares})) == [said]
    missed = [("adaptive", "small_share", 0.1, 0.2)]
    assert decided([SHARE], missed, trivial=pd.DataFrame({"small_share": [0.9]})) == ["not supported"]


def test_what_random_routing_achieves_is_read_at_every_threshold():
    curves = pd.DataFrame(
        [
            ("always_large", float("nan"), 0.0, 0.8, 1.0, 10.0, 2.0),
            ("random", 0.5, 0.5, 0.6, 0.75, 5.0, 1.0),
            ("mixture", 1.0, 1.0, 0.4, 0.5, 1.0, 0.5),
            ("adaptive", 0.5, 0.5, 0.7, 0.9, 4.0, 1.0),
        ],
        columns=["strategy", "threshold", "small_share", "quality", "retention", "cost_usd", "latency_s"],
    ).assign(domain="overall")
    found = trivial_curves(curves, "always_large")
    assert found["cost_saving"].tolist() == [2.0, 10.0] and found["latency_reduction"].tolist() == [2.0, 4.0]
    assert found["small_share"].tolist() == [0.5, 1.0] and found["device_seconds_saved"].tolist() == [0.5, 0.9]


def test_estimates_over_many_splits_decide_where_they_exist_and_the_frozen_split_stands_beside():
    frozen = [("adaptive", "small_share", 0.6, 0.8)]
    [row] = readings([SHARE], evidence(frozen, repeated=[("adaptive", "small_share", 0.4, 0.7)])).to_dict("records")
    assert (row["verdict"], row["source"]) == ("undecided", "cross_fit")
    assert (row["low"], row["split_low"]) == (0.4, 0.6)
    [row] = readings([SHARE], evidence(frozen)).to_dict("records")
    assert (row["verdict"], row["source"]) == ("supported", "estimates") and pd.isna(row["split_low"])


def test_a_quote_has_one_verdict_from_all_readings_that_decide_it():
    parts = [
        replace(SHARE, quote="q", name="one"),
        replace(COST, quote="q", name="two", ceiling_from=""),
        replace(SHARE, quote="q", name="beside", target=0.99, decides=False),
    ]
    rows = [("adaptive", "small_share", 0.6, 0.8), ("adaptive", "cost_saving", 2.0, 4.0)]
    evaluated = readings(parts, evidence(rows))
    assert evaluated["verdict"].tolist() == ["supported", "undecided", "not supported"]
    [quote] = quotes(evaluated, parts).to_dict("records")
    assert (quote["verdict"], quote["readings"]) == ("undecided", ["one", "two"])
    assert quote["reason"] == "one: supported; two: undecided"


def test_a_claim_without_its_estimate_is_not_testable_and_says_what_it_needs():
    result = readings([SHARE], evidence([("random", "small_share", 0.1, 0.2)])).iloc[0]
    assert (result["verdict"], result["reason"]) == ("not testable here", "routing")


def test_the_ceiling_is_arithmetic_and_known_where_nothing_was_run():
    result = readings([SHARE, COST], evidence([("random", "small_share", 0.1, 0.2)])).set_index("claim")
    assert (result.loc["cost", "ceiling"], result.loc["cost", "verdict"]) == (2.0, "not testable here")


def test_the_ceiling_of_a_saving_comes_from_the_claimed_small_share():
    rows = [("adaptive", "small_share", 0.6, 0.8), ("adaptive", "cost_saving", 3.5, 4.0)]
    result = readings([SHARE, COST], evidence(rows)).set_index("claim")
    assert result.loc["cost", "ceiling"] == 2.0  # 1 / (1 - 0.5)
    assert (
        result.loc["cost", "verdict"] == "supported"
    )  # by its interval: the ceiling stands beside, it does not decide


@pytest.mark.parametrize(
    ("share", "saving", "said"),
    [
        ((0.6, 0.8), (3.5, 4.0), "supported"),
        ((0.6, 0.8), (2.0, 4.0), "undecided"),
        ((0.6, 0.8), (1.0, 2.0), "not supported"),
        ((0.4, 0.6), (1.0, 2.0), "not supported"),
    ],
)
def test_claims_hold_together_only_if_each_one_holds(share: tuple, saving: tuple, said: str):
    joint = Claim("both", "50 %, 3×", "both", "routing", strategy="adaptive", all_of=("share", "cost"))
    rows = [("adaptive", "small_share", *share), ("adaptive", "cost_saving", *saving)]
    trivial = pd.DataFrame({"small_share": [0.9, 0.1], "cost_saving": [1.2, 9.0]})
    assert decided([SHARE, COST, joint], rows, trivial=trivial)[-1] == said


def test_claims_that_random_routing_meets_together_are_vacuous_together():
    joint = Claim("both", "50 %, 3×", "both", "routing", strategy="adaptive", all_of=("share", "cost"))
    rows = [("adaptive", metric, 4.0, 5.0) for metric in ("small_share", "cost_saving")]
    trivial = pd.DataFrame({"small_share": [0.9, 0.1], "cost_saving": [3.2, 9.0]})
    assert decided([SHARE, COST, joint], rows, trivial=trivial)[-1] == "met, vacuous"


def test_a_p_value_whose_metric_is_not_named_is_reported_per_metric_without_a_verdict():
    claim = Claim("p", "p < 0.001", "p", "a test", strategy="adaptive", metric="p_adjusted", tests=("paired_t",))
    result = readings([claim], evidence([("random", "small_share", 0.1, 0.2)]))
    assert result["verdict"].tolist() == ["no verdict", "no verdict"]
    assert result["reading"].tolist() == ["quality, paired_t", "cost_usd, paired_t"]
    assert result["estimate"].tolist() == [0.0012, 0.0012]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"name": "a", "quote": "q", "reading": "r", "experiment": "e", "targt": 1}], "unknown key 'targt'"),
        ([{"name": "a", "quote": "q", "reading": "r"}], "'experiment' is missing"),
        ([{"name": "a", "quote": "q", "reading": "r", "experiment": "e", "all_of": ["b"]}], "refers to 'b'"),
    ],
)
def test_a_mistake_in_the_list_of_claims_is_named(rows: list[dict], says: str):
    with pytest.raises(ValueError, match=says):
        from_rows(rows)


ENDS = st.tuples(st.floats(-5, 5), st.floats(-5, 5)).map(sorted)


@settings(max_examples=30, deadline=None)
@given(ENDS, st.floats(-5, 5), st.booleans())
def test_nothing_but_an_interval_wholly_beyond_the_target_is_supported(ends: list, target: float, at_least: bool):
    low, high = ends
    beyond = low >= target if at_least else high <= target
    short = high < target if at_least else low > target
    expected = "supported" if beyond else "not supported" if short else "undecided"
    assert against_target(low, high, target=target, at_least=at_least) == expected


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), ENDS, st.permutations([0, 1, 2]))
def test_no_word_order_or_other_estimate_changes_a_verdict(estimate: float, other: float, ends: list, order: list):
    """Only the interval of the claim's own row decides: not its estimate, its method, or what else the table holds."""
    rows = estimates(
        [("adaptive", "small_share", *ends), ("knn", "small_share", 0.9, 1.0), ("adaptive", "quality", 0, 1)]
    )
    rows.loc[0, "estimate"], rows.loc[2, "estimate"] = estimate, other
    renamed = replace(SHARE, name="supported", quote="supported", reading="supported", experiment="supported")
    known = Evidence(rows.iloc[order].assign(method="supported"), NOTHING, NOTHING, by_hand.comparisons(), NO_CURVE)
    said = [readings([claim], known)["verdict"].item() for claim in (SHARE, renamed)]
    assert said == [against_target(*ends, target=0.5, at_least=True)] * 2


@settings(max_examples=30, deadline=None)
@given(st.lists(ENDS, min_size=2, max_size=2))
def test_claims_together_are_supported_only_where_each_one_is(both: list):
    joint = Claim("both", "q", "r", "e", strategy="adaptive", all_of=("share", "cost"))
    rows = [("adaptive", metric, *ends) for metric, ends in zip(("small_share", "cost_saving"), both, strict=True)]
    alone, other, together = decided([SHARE, COST, joint], rows)
    assert (together == "supported") == (alone == other == "supported")


def test_a_claim_cannot_bring_its_own_verdict():
    row = {"name": "a", "quote": "q", "reading": "r", "experiment": "e", "verdict": "supported"}
    with pytest.raises(ValueError, match="unknown key 'verdict'"):
        from_rows([row])


def test_an_interval_the_wrong_way_round_decides_nothing():
    with pytest.raises(ValueError, match="needs low <= high"):
        against_target(0.8, 0.2, target=0.5, at_least=True)
