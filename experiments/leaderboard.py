"""The leaderboard: every strategy at its operating point, the primary metric and its verdict first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from slm_orchestration import tables
from slm_orchestration.statistics.mixture import MIXTURE

ALPHA = 0.05
PRIVILEGED = ("oracle", "oracle_permuted", "domain_table_given")
PRIVILEGED_MEANS = "(told): a reference that is told what no router may know."


def read_curve_metrics(results: Path) -> pd.DataFrame:
    """Return the metrics of whole curves that the runs of a results folder estimated."""
    paths = sorted(results.glob("*/curve_metrics.parquet"))
    frames = [frame for frame in (tables.read(path, tables.ESTIMATES) for path in paths) if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=tables.ESTIMATES.names)


def leaderboard(estimates: pd.DataFrame, comparisons: pd.DataFrame, overhead: Mapping[str, float]) -> pd.DataFrame:
    """Return one row of text per strategy, the largest gain over the mixture first.

    `estimates` hold metrics of operating points and of curves; `overhead` is seconds per prediction by strategy. A
    verdict is the paired t-test's of the gain, corrected by Holm over the strategies.
    """
    overall = estimates[estimates["domain"] == "overall"]
    against = comparisons.query(f"domain == 'overall' and baseline == '{MIXTURE}' and metric == 'quality'")
    rows_tested = against[against["test"] == "paired_t"].to_dict("records")
    tested = {str(row["strategy"]): row for row in rows_tested}
    gains = overall[overall["metric"] == "gain_over_mixture"].set_index("strategy")["estimate"]
    rows = []
    for strategy in map(str, gains.sort_values(ascending=False, na_position="last", kind="stable").index):
        cell = _Cells(overall, strategy)
        rows.append(
            {
                "strategy": strategy + (" (told)" if strategy in PRIVILEGED else ""),
                "APGR": cell.interval("apgr", "{:z.2f}"),
                "CPT50": cell.estimate("cpt_50", "{:.0%}"),
                "retention": cell.estimate("retention", "{:.0%}"),
                "cost saving": cell.estimate("cost_saving", "{:.2f}x"),
                "latency red.": cell.estimate("latency_reduction", "{:.2f}x"),
                "overhead ms": f"{1000 * overhead[strategy]:.1f}" if strategy in overhead else "",
                "gain over mixture": cell.interval("gain_over_mixture", "{:+z.3f}"),
                "verdict": _verdict(tested[strategy]) if strategy in tested else "",
            }
        )
    return pd.DataFrame(rows)


def show_leaderboard(board: pd.DataFrame, tasks: int, level: float) -> None:
    """Print the leaderboard and what its words mean."""
    print(f"\nleaderboard: {tasks} evaluation tasks, each strategy at its operating point, {level:.0%} intervals")
    print(board.to_string(index=False))
    print(
        "gain over mixture: mean quality above that of a random mix of constant models at the same cost, the router's\n"
        "included. better, worse: paired t-test, Holm over strategies; undecided: with the smallest difference that\n"
        "80 % of such tests would find. APGR of cascades and of pools of three or more is over cost.\n"
        + PRIVILEGED_MEANS
    )


class _Cells:
    """One strategy's metrics as text; empty where there is no estimate."""

    def __init__(self, overall: pd.DataFrame, strategy: str) -> None:
        self._rows = {str(row["metric"]): row for row in overall[overall["strategy"] == strategy].to_dict("records")}

    def interval(self, metric: str, form: str) -> str:
        row = self._rows.get(metric)
        if row is None or pd.isna(row["estimate"]):
            return ""
        ends = "" if pd.isna(row["low"]) else f" [{form.format(row['low'])}, {form.format(row['high'])}]"
        return form.format(row["estimate"]) + ends

    def estimate(self, metric: str, form: str) -> str:
        row = self._rows.get(metric)
        return "" if row is None or pd.isna(row["estimate"]) else form.format(row["estimate"])


def _verdict(row: dict) -> str:
    if pd.isna(row["difference"]):
        return "undefined: " + ("no mixture at this cost" if pd.isna(row["statistic"]) else "no difference")
    if pd.isna(row["detectable"]):
        return "the mixture itself" if row["difference"] == 0 else "does not vary"
    if row["p_adjusted"] < ALPHA:
        return "better" if row["difference"] > 0 else "worse"
    return f"undecided (±{row['detectable']:.3f})"
