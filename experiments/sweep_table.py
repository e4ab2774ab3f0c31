"""What a sweep prints."""

from __future__ import annotations

import pandas as pd

from slm_orchestration.routing.replay import OVERALL

_MAY_BE_UNKNOWN = {"cost_usd": "USD / 1,000 tasks", "latency_s": "latency s"}


def show(curves: pd.DataFrame, points: pd.DataFrame) -> None:
    """Print each strategy's curve over thresholds, overall, and mark the operating point with a star."""
    overall = curves[curves["domain"] == OVERALL].merge(points[["strategy", "threshold"]].assign(at="*"), how="left")
    for strategy, curve in overall.groupby("strategy", sort=False):
        print(f"\n{strategy}, {int(curve['tasks'].iloc[0])} evaluation tasks")
        print(_text(curve).to_string(index=False))
    for strategy, threshold, reason in zip(points["strategy"], points["threshold"], points["chosen_by"], strict=True):
        if pd.notna(threshold):
            print(f"\n* {strategy}: threshold {threshold:g}, {reason}")


def _text(curve: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "": curve["at"].fillna(""),
            "threshold": curve["threshold"].map(lambda t: "" if pd.isna(t) else f"{t:.3f}"),
            "small share": curve["small_share"].map("{:.1%}".format),
            "quality": curve["quality"].map("{:.3f}".format),
            "retention": curve["retention"].map(lambda r: "undefined" if pd.isna(r) else f"{r:.1%}"),
            "USD / 1,000 tasks": (curve["cost_usd"] * 1000).map("{:.4f}".format),
            "latency s": curve["latency_s"].map("{:.2f}".format),
        }
    ).drop(columns=[shown for name, shown in _MAY_BE_UNKNOWN.items() if curve[name].isna().all()])
