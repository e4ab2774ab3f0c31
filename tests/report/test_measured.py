from dataclasses import replace

import pandas as pd
import pytest

from slm_orchestration.report.claims import Claim, Evidence, readings
from slm_orchestration.report.measured import fault_estimates, load_estimates, pool_counts
from tests.figures import tables_by_hand as by_hand

OUTCOMES = pd.DataFrame(
    [
        ("a", "logic", "small", 1.0), ("a", "logic", "large", 1.0),
        ("b", "logic", "small", 0.0), ("b", "logic", "large", None),
        ("c", "code", "small", 0.0),
        ("d", "code", "small", 0.0), ("d", "code", "large", 0.0),
    ],
    columns=["task_id", "domain", "model", "quality"],
)  # fmt: skip


def load(*rows: tuple[str, float, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["path", "level", "achieved_rps"]).assign(mode="open", requests=1000)
    frame = frame.assign(achieved_low=frame["achieved_rps"] - 5, achieved_high=frame["achieved_rps"] + 5)
    for name in ("p50", "p99"):
        frame = frame.assign(**{f"{name}_s": frame["level"] / 1000})
        frame = frame.assign(**{f"{name}_low": frame[f"{name}_s"] * 0.9, f"{name}_high": frame[f"{name}_s"] * 1.1})
    return frame


def test_only_tasks_that_every_model_has_answered_count():
    rows = pool_counts(OUTCOMES, ["small", "large"]).set_index("metric")
    assert rows.loc["tasks", ["estimate", "low", "high"]].tolist() == [2.0, 2.0, 2.0]
    assert rows.loc["domains", "estimate"] == 2.0
    assert pool_counts(OUTCOMES, ["small"]).set_index("metric").loc["tasks", "estimate"] == 4.0


def test_latencies_are_those_of_the_load_with_the_highest_throughput():
    rows = load_estimates(
        load(("gateway_model", 100, 90.0), ("gateway_model", 400, 200.0), ("gateway_model", 800, 150.0))
    )
    found = rows.set_index("metric")
    assert found.loc["requests_per_second", ["estimate", "low", "high"]].tolist() == [200.0, 195.0, 205.0]
    assert found.loc["latency_p99_s", "estimate"] == pytest.approx(0.4)
    assert found.loc["latency_p50_s", "method"] == "open load of 400, interval over windows"


def test_claims_of_a_gateway_are_tested_once_its_load_is_measured():
    throughput = Claim("throughput", "10,000 requests/s", "r", "python -m experiments.load",
                       strategy="gateway_model", metric="requests_per_second", target=10_000)  # fmt: skip
    nothing = by_hand.estimates().iloc[:0]
    known = Evidence(by_hand.estimates(), nothing, nothing, by_hand.comparisons(), pd.DataFrame())
    without = readings([throughput], known).iloc[0]
    assert (without["verdict"], without["reason"]) == ("not testable here", "python -m experiments.load")
    measured = replace(known, measured=load_estimates(load(("gateway_model", 400, 200.0))))
    found = readings([throughput], measured).iloc[0]
    assert (found["verdict"], found["source"]) == ("not supported", "measured")


def test_availability_is_that_under_the_worst_fault_at_the_lowest_rate_with_all_protections():
    rows = [
        ("fail", 0.05, "all", 1.0), ("stall", 0.05, "all", 0.98), ("stall", 0.05, "none", 0.5),
        ("fail", 0.2, "all", 0.6),
    ]  # fmt: skip
    faults = pd.DataFrame(rows, columns=["fault", "rate", "protection", "availability"])
    found = fault_estimates(faults.assign(low=faults["availability"] - 0.1, high=1.0, requests=100)).iloc[0]
    assert (found["metric"], found["estimate"], found["low"]) == ("availability", 0.98, pytest.approx(0.88))
    assert found["method"] == "Wilson score, calls that stall: the worst of 2 faults at this rate"


def test_a_count_is_no_estimate_and_decides():
    tasks = Claim("tasks", "> 3 tasks", "r", "e", strategy="pool", metric="tasks", target=4)
    nothing = by_hand.estimates().iloc[:0]
    for model, verdict in (("small", "supported"), ("large", "not supported")):
        counted = pool_counts(OUTCOMES, [model])
        known = Evidence(nothing, nothing, counted, by_hand.comparisons(), pd.DataFrame())
        assert readings([tasks], known)["verdict"].tolist() == [verdict]
