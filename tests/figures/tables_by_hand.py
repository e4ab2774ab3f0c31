"""Small tables whose figures and printed numbers can be checked by eye: two models, two domains, ten tasks."""

from __future__ import annotations

import pandas as pd

from slm_orchestration import tables

HULL = ["small", "large"]
# strategy: quality, dollars per task, seconds, small share, gain with its interval
STRATEGIES = {
    "always_small": (0.4, 1e-6, 0.5, 1.0, (0.0, None, None)),
    "always_large": (0.8, 4e-6, 2.0, 0.0, (0.0, None, None)),
    "guess": (0.1, 0.0, 0.0, 1.0, (0.0, None, None)),
    "mixture": (0.6, 2.5e-6, 1.2, 0.5, (0.0, -0.1, 0.1)),
    "random": (0.55, 2.5e-6, 1.3, 0.5, (-0.05, -0.15, 0.05)),
    "oracle": (0.9, 2e-6, 1.0, 0.7, (0.37, 0.3, 0.45)),
    "adaptive": (0.7, 2e-6, 1.0, 0.6, (0.17, 0.05, 0.3)),
    "confidence": (0.5, 3e-6, 1.5, 0.4, (-0.17, -0.3, -0.05)),
    "heuristic": (0.6, 2e-6, 1.0, 0.6, (0.07, -0.1, 0.2)),
}
SWEPT = ("adaptive", "confidence", "heuristic", "mixture", "random")


def estimates(names: list[str] | None = None) -> pd.DataFrame:
    """ESTIMATES: overall rows of `names` (all by default), and the retention in two domains; undefined in `logic`."""
    rows = []
    for name in names or list(STRATEGIES):
        quality, cost, latency, share, gain = STRATEGIES[name]
        point = {"quality": quality, "cost_usd": cost, "latency_s": latency, "small_share": share}
        point |= {"retention": quality / 0.8, "latency_reduction": 2.0 / latency if latency else None}
        point |= {"cost_saving": 4e-6 / cost if cost else None}
        for metric, value in point.items():
            ends = (None, None) if value is None else (value * 0.9, value * 1.1)
            rows.append(_row(name, "overall", metric, value, ends))
        rows.append(_row(name, "overall", "gain_over_mixture", gain[0], gain[1:]))
        rows.append(_row(name, "code", "retention", 0.5, (0.3, 0.7)))
        rows.append(_row(name, "logic", "retention", None, (None, None)))
        rows += [_row(name, domain, "quality", quality, (quality * 0.5, 1.0)) for domain in ("code", "logic")]
    frame = pd.DataFrame(rows).assign(level=0.95, method="by hand")
    return tables.conform(frame, tables.ESTIMATES)


def measured() -> pd.DataFrame:
    """ESTIMATES of the pool: ten tasks in two domains, counted."""
    counts = [
        _row("pool", "overall", metric, count, (count, count)) for metric, count in (("tasks", 10.0), ("domains", 2.0))
    ]
    return tables.conform(pd.DataFrame(counts).assign(level=0.95, method="counted"), tables.ESTIMATES)


def robustness() -> pd.DataFrame:
    """ROBUSTNESS: the best strategy's gain corrected for having been selected, and two ranks."""
    frame = pd.DataFrame(
        [
            ("winner", "adaptive", 0.15, 0.02, 0.29),
            ("rank", "adaptive", 1.0, 1.0, 2.0),
            ("rank", "heuristic", 2.0, 1.0, 3.0),
        ],
        columns=["view", "strategy", "estimate", "low", "high"],
    ).assign(metric="gain_over_mixture", p_value=float("nan"), units=3, method="by hand")
    return tables.conform(frame, tables.ROBUSTNESS)


def curves() -> pd.DataFrame:
    """CURVES: from the most expensive model's point at 0 to the cheapest's at 1, through the operating point at 0.5."""
    rows = []
    for name in STRATEGIES:
        quality, cost, latency, share, _ = STRATEGIES[name]
        points = [(None, quality, cost, latency, share)]
        if name in SWEPT:
            points = [(0.0, 0.8, 4e-6, 2.0, 0.0), (0.5, quality, cost, latency, share), (1.0, 0.4, 1e-6, 0.5, 1.0)]
        for threshold, *values in points:
            means = dict(zip(("quality", "cost_usd", "latency_s", "small_share"), values, strict=True))
            point = {"strategy": name, "threshold": threshold, "retention": means["quality"] / 0.8, "tasks": 10}
            rows += [point | means | {"domain": domain} for domain in ("overall", "code", "logic")]
    return tables.conform(pd.DataFrame(rows).astype({"threshold": float}), tables.CURVES)


def decisions() -> pd.DataFrame:
    """DECISIONS: ten tasks, half of each domain, per strategy and threshold; latency rises by a tenth per task.

    The first tasks are right, as many as the curve's quality says, and the last ones are answered by `large`.
    """
    rows = []
    for point in curves().query("domain == 'overall'").to_dict("records"):
        for number in range(10):
            large = number >= round(10 * point["small_share"])
            rows.append(
                {name: point[name] for name in ("strategy", "threshold", "cost_usd")}
                | {"task_id": f"task/{number}", "domain": ("code", "logic")[number // 5], "escalated": large}
                | {"models_called": [("small", "large")[large]], "model": ("small", "large")[large]}
                | {
                    "quality": float(number < round(10 * point["quality"])),
                    "router_latency_s": 0.0,
                    "device_s": point["latency_s"],
                }
                | {"latency_s": point["latency_s"] * (0.55 + 0.1 * number)}
            )
    return tables.conform(pd.DataFrame(rows), tables.DECISIONS)


def operating_points() -> pd.DataFrame:
    """OPERATING_POINTS: threshold 0.5 for all that have one."""
    thresholds = [0.5 if name in SWEPT else None for name in STRATEGIES]
    frame = pd.DataFrame({"strategy": list(STRATEGIES), "threshold": thresholds, "chosen_by": "by hand", "tasks": 4})
    return tables.conform(frame.astype({"threshold": float}), tables.OPERATING_POINTS)


def comparisons() -> pd.DataFrame:
    """COMPARISONS by paired t: `adaptive` against the most expensive model, and every gain over the mixture.

    Gains whose interval holds 0 have a corrected p of .4, the others of .0012.
    """
    row = {"strategy": "adaptive", "domain": "overall", "test": "paired_t", "statistic": -2.5, "p_value": 0.0004}
    row |= {
        "p_adjusted": 0.0012,
        "effect_size": -0.4,
        "effect_name": "cohen_d_z",
        "detectable": 0.1,
        "equivalent_within": 0.2,
        "low": -0.2,
        "high": -0.01,
        "tasks": 10,
    }
    rows = [
        row | {"baseline": "always_large", "metric": metric, "difference": difference}
        for metric, difference in (("quality", -0.1), ("cost_usd", -2e-6))
    ]
    for name, (*_, (gain, low, high)) in STRATEGIES.items():
        shown = low is not None and not low <= 0 <= high
        rows.append(
            row
            | {
                "strategy": name,
                "baseline": "mixture",
                "metric": "quality",
                "difference": gain,
                "low": low,
                "high": high,
            }
            | {"p_value": 0.0004 if shown else 0.1, "p_adjusted": 0.0012 if shown else 0.4}
            | ({"detectable": None, "equivalent_within": None} if low is None else {})
        )
    return tables.conform(pd.DataFrame(rows), tables.COMPARISONS)


def _row(strategy: str, domain: str, metric: str, value: float | None, ends: tuple) -> dict:
    row = {"strategy": strategy, "domain": domain, "metric": metric, "estimate": value}
    return row | {"low": ends[0], "high": ends[1], "tasks": 10 if domain == "overall" else 5}


def outcomes() -> pd.DataFrame:
    """Ten tasks; small is right on 0-3, large on 2-9; large costs four times as much."""
    rows = [
        {"task_id": f"task/{n}", "model": model, "repeat": 0, "cost_usd": cost, "quality": float(n in right)}
        | {"confidence": 0.85 if n in right else 0.25}
        for model, cost, right in (("small", 1e-6, range(4)), ("large", 4e-6, range(2, 10)))
        for n in range(10)
    ]
    return pd.DataFrame(rows)


def served() -> pd.DataFrame:
    """DECISIONS at the operating points."""
    return decisions().merge(operating_points()[["strategy", "threshold"]], on=["strategy", "threshold"])
