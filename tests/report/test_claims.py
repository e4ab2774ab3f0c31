from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_orchestration.report.claims import Claim, evaluate, from_rows
from slm_orchestration.statistics.verdicts import against_target
from tests.figures import tables_by_hand as by_hand

SHARE = Claim("share", "50 %", "share of small tasks", "routing", strategy="adaptive", metric="small_share", target=0.5)
COST = Claim("cost", "3×", "cost", "routing", "adaptive", "cost_saving", target=3.0, ceiling_from="share")


def estimates(rows: list[tuple[str, str, float | None, float | None]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["strategy", "metric", "low", "high"])
    return frame.assign(domain="overall", estimate=(frame["low"] + frame["high"]) / 2, method="by hand")


def decided(claims: list[Claim], rows: list[tuple[str, str, float | None, float | None]]) -> list[str]:
    return evaluate(claims, estimates(rows), by_hand.comparisons())["verdict"].tolist()


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


def test_what_random_routing_meets_too_is_vacuous():
    meets, misses = ("adaptive", "small_share", 0.6, 0.8), ("random", "small_share", 0.4, 0.6)
    assert decided([SHARE], [meets, misses]) == ["supported"]
    assert decided([SHARE], [meets, ("random", "small_share", 0.55, 0.7)]) == ["met, vacuous"]
    assert decided([SHARE], [("adaptive", "small_share", 0.1, 0.2), ("random", "small_share", 0.6, 0.7)]) == [
        "not supported"
    ]


def test_a_claim_without_its_estimate_is_not_testable_and_says_what_it_needs():
    result = evaluate([SHARE], estimates([("random", "small_share", 0.1, 0.2)]), by_hand.comparisons()).iloc[0]
    assert (result["verdict"], result["reason"]) == ("not testable here", "routing")


def test_the_ceiling_of_a_saving_comes_from_the_claimed_small_share():
    rows = [("adaptive", "small_share", 0.6, 0.8), ("adaptive", "cost_saving", 3.5, 4.0)]
    result = evaluate([SHARE, COST], estimates(rows), by_hand.comparisons()).set_index("claim")
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
    rows += [("random", "small_share", 0.6, 0.9), ("random", "cost_saving", 1.0, 1.2)]
    assert decided([SHARE, COST, joint], rows)[-1] == said


def test_claims_that_random_routing_meets_together_are_vacuous_together():
    joint = Claim("both", "50 %, 3×", "both", "routing", strategy="adaptive", all_of=("share", "cost"))
    rows = [(name, metric, 4.0, 5.0) for name in ("adaptive", "random") for metric in ("small_share", "cost_saving")]
    assert decided([SHARE, COST, joint], rows)[-1] == "met, vacuous"


def test_a_p_value_whose_metric_is_not_named_is_reported_per_metric_without_a_verdict():
    claim = Claim("p", "p < 0.001", "p", "a test", strategy="adaptive", metric="p_adjusted", tests=("paired_t",))
    result = evaluate([claim], estimates([("random", "small_share", 0.1, 0.2)]), by_hand.comparisons())
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
    said = [evaluate([claim], rows.iloc[order].assign(method="supported"), by_hand.comparisons())["verdict"].item()
            for claim in (SHARE, renamed)]  # fmt: skip
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
