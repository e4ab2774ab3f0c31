"""Feasible small shares at a given retention, for every recorded pair of models."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from slm_orchestration.figures import style
from slm_orchestration.figures.style import FAINT, INK, SOFT

_KNN, _ORACLE = "#D55E00", "#56B4E9"


def feasibility_map(
    feasibility: pd.DataFrame, *, retention: float, claimed_share: float, claimed_saving: float
) -> Figure:
    """Draw small_share at calibrated `retention` against q_S / q_L, a dot per pair, under a router and the oracle.

    The grey line is what random mixing gives, (1 - retention) / (1 - ratio); a pair has no other mixture. The dashed
    lines are the published claim: its small share, and the least share at which its saving is arithmetically possible,
    1 - 1 / saving, if escalated tasks cost at least the average.
    """
    tone = {"knn": (_KNN, "router (k nearest tasks)", 0.7), "oracle": (_ORACLE, "oracle", 0.45)}
    with style.look():
        figure = Figure(figsize=(style.COLUMN_WIDTH * 1.35, 3.1), layout="constrained")
        axes = figure.add_subplot()
        for strategy, (colour, label, alpha) in tone.items():
            rows = feasibility[feasibility["strategy"] == strategy]
            axes.scatter(rows["ratio"], rows["small_share"], s=5, color=colour, alpha=alpha, linewidths=0, label=label)
            if len(rows) >= 20:
                axes.plot(*_median(rows), color=colour, linewidth=1.2)
        low = float(feasibility["ratio"].min()) - 0.02
        ratio = np.linspace(low, 1, 500)
        random = np.clip((1 - retention) / np.maximum(1 - ratio, 1e-9), 0, 1)
        axes.plot(ratio, random, color=INK, linewidth=1.0, label="random = mixture of the pair")
        needed = 1 - 1 / claimed_saving
        for height, words in (
            (claimed_share, f"claimed small share, {claimed_share:.1%}"),
            (needed, f"least share for the claimed saving, {claimed_saving:g}×: {needed:.1%}"),
        ):
            axes.axhline(height, color=SOFT, linewidth=0.8, linestyle="--")
            axes.text(low, height + 0.008, " " + words, fontsize=5.5, color=INK, va="bottom")
        axes.set(xlim=(low, 1.005), ylim=(-0.01, 1.02))
        axes.set_xlabel("Quality of the small model over the large one's")
        axes.set_ylabel(f"Share of tasks left to the small model\nat {retention:.0%} retention")
        axes.grid(color=FAINT, linewidth=0.4)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=6, markerscale=2)
    return figure


def _median(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the median share over neighbouring pairs: up to twenty bins of equally many."""
    ordered = rows.sort_values("ratio")
    bins = np.array_split(np.arange(len(ordered)), min(20, len(ordered) // 8))
    middle = [ordered.iloc[part][["ratio", "small_share"]].median() for part in bins]
    return np.array([row["ratio"] for row in middle]), np.array([row["small_share"] for row in middle])
