"""What claims are tested against beside the estimates, as rows of ESTIMATES: exact counts, and the gateway measured.

Every claim then names a strategy and a metric. What was not measured has no row, and the claim is not testable here.
"""

from __future__ import annotations

import pandas as pd

from slm_orchestration.statistics.strategy_matrix import OVERALL

LEVEL = 0.95
# The strategy of rows about the gateway under injected faults, and the value of `protection` that means all of them.
FAULTY, PROTECTED = "gateway_with_faults", "all"
_COLUMNS = {
    "requests_per_second": ("achieved_rps", "achieved_low", "achieved_high"),
    "latency_p50_s": ("p50_s", "p50_low", "p50_high"),
    "latency_p99_s": ("p99_s", "p99_low", "p99_high"),
}


def pool_counts(outcomes: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Return the exact counts of tasks that every one of `models` has an outcome for, and of their domains.

    A failed call, whose quality is null, does not count. A count has no sampling error: its interval is the count.
    """
    graded = outcomes[outcomes["quality"].notna() & outcomes["model"].isin(models)]
    by_task = graded.groupby("task_id")["model"].nunique()
    answered = by_task.index[by_task == len(models)]
    domains = graded.loc[graded["task_id"].isin(answered), "domain"].nunique()
    rows = [
        {"metric": metric, "estimate": float(count), "low": float(count), "high": float(count)}
        for metric, count in (("tasks", len(answered)), ("domains", domains))
    ]
    return _estimates(pd.DataFrame(rows), strategy="pool", tasks=len(answered), method="counted")


def load_estimates(load: pd.DataFrame) -> pd.DataFrame:
    """Return throughput and latencies of every path of LOAD, at the load of its highest throughput.

    Throughput and latencies are of the same load, so that they hold together.
    """
    frames = []
    for path, rows in load.groupby("path"):
        best = rows.iloc[int(rows["achieved_rps"].to_numpy(float).argmax())]
        values = [
            {"metric": metric} | dict(zip(("estimate", "low", "high"), best[list(columns)], strict=True))
            for metric, columns in _COLUMNS.items()
        ]
        method = f"{best['mode']} load of {best['level']:g}, interval over windows"
        frames.append(_estimates(pd.DataFrame(values), strategy=str(path), tasks=int(best["requests"]), method=method))
    return pd.concat(frames, ignore_index=True)


def fault_estimates(faults: pd.DataFrame) -> pd.DataFrame:
    """Return the availability with all protections at the lowest injected rate, under the worst kind of fault."""
    mild = faults[(faults["protection"] == PROTECTED) & (faults["rate"] == faults["rate"].min())]
    if mild.empty:
        return pd.DataFrame()
    worst = mild.sort_values(["availability", "fault"]).iloc[0]
    row = {"metric": "availability"} | dict(
        zip(("estimate", "low", "high"), worst[["availability", "low", "high"]], strict=True)
    )
    method = f"Wilson score, calls that {worst['fault']}: the worst of {mild['fault'].nunique()} faults at this rate"
    return _estimates(pd.DataFrame([row]), strategy=FAULTY, tasks=int(worst["requests"]), method=method)


def _estimates(frame: pd.DataFrame, *, strategy: str, tasks: int, method: str) -> pd.DataFrame:
    return frame.assign(strategy=strategy, domain=OVERALL, level=LEVEL, tasks=tasks, method=method)
