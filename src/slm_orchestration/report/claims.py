"""Tests of published claims: each verdict follows from intervals and the targets alone.

A claim is one published quote. It may be read in several ways: `readings` tests each, and `quotes` gives one verdict
per quote, from the readings that decide it, all of which must hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from slm_orchestration.statistics.strategy_matrix import CONSTANT, MIXTURE, OVERALL, RANDOM
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
    "split_estimate",
    "split_low",
    "split_high",
    "ceiling",
    "verdict",
    "reason",
    "decides",
    "source",
]
QUOTE_COLUMNS = ["quote", "says", "readings", "verdict", "reason"]


@dataclass(frozen=True)
class Claim:
    """One reading of a quote as published, and its `comparison` and `scope` in words.

    Readings with `decides` decide the verdict on the quote, all together; others stand beside them. `says` is what the
    quote claims, in words.

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
    says: str = ""
    decides: bool = True


@dataclass(frozen=True)
class Evidence:
    """What claims are tested on, each as ESTIMATES or COMPARISONS.

    `cross_fitted` are estimates over many splits, which decide where they exist; `estimates` are those of the one
    recorded split; `measured` are counts and the measurements of the gateway. `trivial` has a row per threshold of
    random routing and the mixture, which look at no task, and a column per metric.
    """

    estimates: pd.DataFrame
    cross_fitted: pd.DataFrame
    measured: pd.DataFrame
    comparisons: pd.DataFrame
    trivial: pd.DataFrame

    def row(self, claim: Claim) -> tuple[pd.Series, str] | None:
        """Return the row that decides a claim and the name of its table, or None."""
        tables = {"cross_fit": self.cross_fitted, "estimates": self.estimates, "measured": self.measured}
        found = ((_row_of(frame, claim), name) for name, frame in tables.items())
        return next(((row, name) for row, name in found if row is not None), None)


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


def readings(claims: Sequence[Claim], evidence: Evidence) -> pd.DataFrame:
    """Return one row per reading with the columns COLUMNS; one without a target has a row per comparison."""
    by_name = {claim.name: claim for claim in claims}
    rows: list[dict[str, object]] = []
    for claim in claims:
        if claim.all_of:
            rows.append(_joint(claim, [by_name[name] for name in claim.all_of], evidence))
        elif claim.target is None and claim.metric:
            rows += _reported(claim, evidence.comparisons)
        else:
            rows.append(_tested(claim, by_name, evidence))
    return pd.DataFrame(rows, columns=COLUMNS)


def quotes(evaluated: pd.DataFrame, claims: Sequence[Claim]) -> pd.DataFrame:
    """Return one row per quote with the columns QUOTE_COLUMNS: the names of the deciding readings, and the verdict."""
    rows = []
    for quote in dict.fromkeys(claim.quote for claim in claims):
        own = [claim for claim in claims if claim.quote == quote]
        deciding = [claim.name for claim in own if claim.decides]
        decided = evaluated[evaluated["claim"].isin(deciding)]
        verdict = _least(decided["verdict"])
        reasons = [
            f"{name.replace('_', ' ')}: {one}" if len(deciding) > 1 else reason
            for name, one, reason in decided[["claim", "verdict", "reason"]].itertuples(index=False)
            if reason or len(deciding) > 1
        ]
        says = next((claim.says for claim in own if claim.says), own[0].reading)
        rows.append((quote, says, deciding, verdict, "; ".join(dict.fromkeys(reasons))))
    return pd.DataFrame(rows, columns=QUOTE_COLUMNS)


def trivial_curves(curves: pd.DataFrame, most_expensive: str) -> pd.DataFrame:
    """Return what random and the mixture achieve at each threshold, in the metrics of claims; from CURVES."""
    overall = curves[curves["domain"] == OVERALL]
    last = overall[overall["strategy"] == most_expensive].iloc[0]
    rows = overall[overall["strategy"].isin((RANDOM, MIXTURE)) & overall["threshold"].notna()]
    return pd.DataFrame(
        {
            "small_share": rows["small_share"],
            "quality": rows["quality"],
            "retention": rows["retention"],
            "cost_saving": last["cost_usd"] / rows["cost_usd"],
            "latency_reduction": last["latency_s"] / rows["latency_s"],
            # One device answers all models of a pool, so its seconds are proportional to cost.
            "device_seconds_saved": 1 - rows["cost_usd"] / last["cost_usd"],
        }
    ).reset_index(drop=True)


def _tested(claim: Claim, claims: Mapping[str, Claim], evidence: Evidence) -> dict[str, object]:
    found = evidence.row(claim)
    if found is None or claim.target is None:
        return _result(claim, NOT_TESTABLE, claim.experiment) | {"ceiling": _ceiling(claim, claims)}
    row, source = found
    outcome = against_target(row["low"], row["high"], target=claim.target, at_least=claim.at_least)
    reason = str(row["method"]) if outcome == NOT_TESTABLE else ""
    if outcome == SUPPORTED and _met_trivially([claim], evidence):
        outcome, reason = VACUOUS, "some threshold of random routing or of the mixture meets it too"
    ends = {end: row[end] for end in ("estimate", "low", "high")}
    frozen = _row_of(evidence.estimates, claim) if source == "cross_fit" else None
    split = {} if frozen is None else {f"split_{end}": frozen[end] for end in ("estimate", "low", "high")}
    return _result(claim, outcome, reason) | ends | split | {"ceiling": _ceiling(claim, claims), "source": source}


def _joint(claim: Claim, parts: Sequence[Claim], evidence: Evidence) -> dict[str, object]:
    """Intersection–union test: the joint claim is supported if each part is, at its own level."""
    decided = [_decide(part, evidence) for part in parts]
    outcome = _least(decided)
    reason = "; ".join(f"{part.name}: {verdict}" for part, verdict in zip(parts, decided, strict=True))
    if outcome == SUPPORTED and _met_trivially(parts, evidence):
        outcome, reason = VACUOUS, "one threshold of random routing or of the mixture meets all of them too"
    return _result(claim, outcome, reason)


def _least(verdicts: Iterable[str]) -> str:
    """Return the verdict on several parts that must all hold."""
    found = set(verdicts)
    order = (NOT_SUPPORTED, NOT_TESTABLE, UNDECIDED, NO_VERDICT, VACUOUS, SUPPORTED)
    return next((outcome for outcome in order if outcome in found), NOT_TESTABLE)


def _decide(claim: Claim, evidence: Evidence) -> str:
    found = evidence.row(claim)
    if found is None or claim.target is None:
        return NOT_TESTABLE
    return against_target(found[0]["low"], found[0]["high"], target=claim.target, at_least=claim.at_least)


def _met_trivially(parts: Sequence[Claim], evidence: Evidence) -> bool:
    """Return whether one threshold of random or the mixture meets all parts."""
    meets = np.ones(len(evidence.trivial), dtype=bool)
    for part in parts:
        if part.metric not in evidence.trivial or part.target is None:
            return False
        values = evidence.trivial[part.metric]
        meets &= (values >= part.target if part.at_least else values <= part.target).to_numpy()
    return bool(meets.any())


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
    reason = "names no metric and no comparison"
    return [
        _result(claim, NO_VERDICT, reason)
        | {"estimate": row[claim.metric], "reading": f"{row['metric']}, {row[words]}", "source": "comparisons"}
        for _, row in rows.iterrows()
    ]


def _ceiling(claim: Claim, claims: Mapping[str, Claim]) -> float | None:
    """Return 1 / (1 - small share): the largest saving if escalated tasks cost at least the average task."""
    share = claims[claim.ceiling_from].target if claim.ceiling_from else None
    return None if share is None or share >= 1 else 1 / (1 - share)


def _row_of(estimates: pd.DataFrame, claim: Claim) -> pd.Series | None:
    asked = (
        (estimates["strategy"] == claim.strategy)
        & (estimates["domain"] == claim.domain)
        & (estimates["metric"] == claim.metric)
    )
    return estimates[asked].iloc[0] if asked.any() else None


def _result(claim: Claim, outcome: str, reason: str) -> dict[str, object]:
    stated: dict[str, object] = {"claim": claim.name}
    stated |= {key: getattr(claim, key) for key in ("quote", "reading", "comparison", "scope", "strategy")}
    blank = dict.fromkeys(COLUMNS[COLUMNS.index("estimate") : COLUMNS.index("verdict")])
    about = {"metric": claim.metric, "target": claim.target, "decides": claim.decides, "source": ""}
    return stated | about | blank | {"verdict": outcome, "reason": reason}
