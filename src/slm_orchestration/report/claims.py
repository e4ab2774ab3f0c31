"""Tests of published claims: each verdict follows from an interval and the target alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import pandas as pd

from slm_orchestration.statistics.strategy_matrix import CONSTANT, OVERALL, RANDOM
from slm_orchestration.statistics.verdicts import (
    NOT_SUPPORTED,
    NOT_TESTABLE,
    SUPPORTED,
    UNDECIDED,
    against_target,
)

VACUOUS, NO_VERDICT = "met, vacuous", "no verdict"

COLUMNS = [
    "claim",
    "quote",
    "reading",
    "comparison",
    "scope",
    "strategy",
    "metric",
    "target",
    "estimate",
    "low",
    "high",
    "ceiling",
    "verdict",
    "reason",
]


@dataclass(frozen=True)
class Claim:
    """A claim as published (`quote`), the reading that is tested, and its `comparison` and `scope` in words.

    `metric` of `strategy` over `domain` is tested against `target`, which is a minimum if `at_least`, else a maximum.
    Without a target, the column `metric` of COMPARISONS is reported for each of `tests`, without a verdict. `all_of`
    names claims that must hold together, at one operating point. `ceiling_from` names the claim whose target, a small
    share, sets the arithmetic ceiling of this one.
    """

    name: str
    quote: str
    reading: str
    experiment: str
    strategy: str = ""
    metric: str = ""
    target: float | None = None
    at_least: bool = True
    domain: str = OVERALL
    ceiling_from: str = ""
    all_of: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    comparison: str = ""
    scope: str = ""


def from_rows(rows: Sequence[Mapping[str, object]]) -> list[Claim]:
    """Return the claims that a configuration file lists. Raises ValueError naming the entry and the key at fault."""
    known = {field.name for field in fields(Claim)}
    claims: list[Claim] = []
    for row in rows:
        name = row.get("name", "without a name")
        if unknown := sorted(set(row) - known):
            raise ValueError(f"claim {name!r}: unknown key {unknown[0]!r}; the keys are {', '.join(sorted(known))}")
        if missing := sorted({"name", "quote", "reading", "experiment"} - set(row)):
            raise ValueError(f"claim {name!r}: {missing[0]!r} is missing")
        claims.append(Claim(**{**row, **{key: tuple(row.get(key, ())) for key in ("all_of", "tests")}}))  # type: ignore[arg-type]
    names = {claim.name for claim in claims}
    for claim in claims:
        if unknown := sorted({*claim.all_of, *filter(None, [claim.ceiling_from])} - names):
            raise ValueError(f"claim {claim.name!r} refers to {unknown[0]!r}, which is not a claim of this file")
    return claims


def evaluate(claims: Sequence[Claim], estimates: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return one row per claim with the columns COLUMNS; a claim without a target has a row per comparison."""
    by_name = {claim.name: claim for claim in claims}
    rows: list[dict[str, object]] = []
    for claim in claims:
        if claim.all_of:
            rows.append(_joint(claim, [by_name[name] for name in claim.all_of], estimates))
        elif claim.target is None and claim.metric:
            rows += _reported(claim, comparisons)
        else:
            rows.append(_tested(claim, by_name, estimates))
    return pd.DataFrame(rows, columns=COLUMNS)


def _tested(claim: Claim, claims: Mapping[str, Claim], estimates: pd.DataFrame) -> dict[str, object]:
    row = _row_of(estimates, claim, claim.strategy)
    if row is None or claim.target is None:
        return _result(claim, NOT_TESTABLE, claim.experiment)
    outcome = against_target(row["low"], row["high"], target=claim.target, at_least=claim.at_least)
    reason = str(row["method"]) if outcome == NOT_TESTABLE else ""
    if outcome == SUPPORTED and _decide(claim, estimates, RANDOM) == SUPPORTED:
        outcome, reason = VACUOUS, "random routing meets it too"
    ends = {end: row[end] for end in ("estimate", "low", "high")}
    return _result(claim, outcome, reason) | ends | {"ceiling": _ceiling(claim, claims)}


def _joint(claim: Claim, parts: Sequence[Claim], estimates: pd.DataFrame) -> dict[str, object]:
    """Intersection–union test: the joint claim is supported if each part is, at its own level."""
    outcome = _weakest(parts, estimates, claim.strategy)
    reason = "; ".join(f"{part.name}: {_decide(part, estimates, claim.strategy)}" for part in parts)
    if outcome == SUPPORTED and _weakest(parts, estimates, RANDOM) == SUPPORTED:
        outcome, reason = VACUOUS, "random routing meets all of them too"
    return _result(claim, outcome, reason)


def _weakest(parts: Sequence[Claim], estimates: pd.DataFrame, strategy: str) -> str:
    found = {_decide(part, estimates, strategy) for part in parts}
    return next(outcome for outcome in (NOT_SUPPORTED, NOT_TESTABLE, UNDECIDED, SUPPORTED) if outcome in found)


def _decide(claim: Claim, estimates: pd.DataFrame, strategy: str) -> str:
    row = _row_of(estimates, claim, strategy)
    if row is None or claim.target is None:
        return NOT_TESTABLE
    return against_target(row["low"], row["high"], target=claim.target, at_least=claim.at_least)


def _reported(claim: Claim, comparisons: pd.DataFrame) -> list[dict[str, object]]:
    """Return a row per metric and test for a p-value or effect size whose metric the claim does not name."""
    asked = (comparisons["strategy"] == claim.strategy) & (comparisons["domain"] == claim.domain)
    against_most_expensive = asked & comparisons["baseline"].str.startswith(CONSTANT)
    rows = comparisons[
        against_most_expensive & comparisons["test"].isin(claim.tests) & comparisons[claim.metric].notna()
    ]
    if rows.empty:
        return [_result(claim, NOT_TESTABLE, claim.experiment)]
    words = "effect_name" if claim.metric == "effect_size" else "test"
    return [
        _result(claim, NO_VERDICT, "") | {"estimate": row[claim.metric], "reading": f"{row['metric']}, {row[words]}"}
        for _, row in rows.iterrows()
    ]


def _ceiling(claim: Claim, claims: Mapping[str, Claim]) -> float | None:
    """Return 1 / (1 - small share): the largest saving if escalated tasks cost at least the average task."""
    share = claims[claim.ceiling_from].target if claim.ceiling_from else None
    return None if share is None or share >= 1 else 1 / (1 - share)


def _row_of(estimates: pd.DataFrame, claim: Claim, strategy: str) -> pd.Series | None:
    asked = (
        (estimates["strategy"] == strategy)
        & (estimates["domain"] == claim.domain)
        & (estimates["metric"] == claim.metric)
    )
    return estimates[asked].iloc[0] if asked.any() else None


def _result(claim: Claim, outcome: str, reason: str) -> dict[str, object]:
    stated: dict[str, object] = {"claim": claim.name}
    stated |= {key: getattr(claim, key) for key in ("quote", "reading", "comparison", "scope", "strategy")}
    blank = dict.fromkeys(("estimate", "low", "high", "ceiling"))
    return stated | {"metric": claim.metric, "target": claim.target} | blank | {"verdict": outcome, "reason": reason}
