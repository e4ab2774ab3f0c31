"""The plane of cost and quality for one strategy: its curve, its operating point, and the mixture that it must beat."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.style import FAINT, INK, SOFT


def one_strategy(curve: pd.DataFrame, threshold: float, vertices: pd.DataFrame) -> Figure:
    """Draw the overall rows of one strategy's CURVES; `vertices` has name, cost_usd and quality of the mixture.

    Where no dollars are recorded, quality stands against the share of tasks for small models.
    """
    rows = naming.overall(curve).sort_values("threshold", kind="stable")
    in_dollars = rows["cost_usd"].notna().all() and len(vertices) > 0
    across, scale = ("cost_usd", 1000.0) if in_dollars else ("small_share", 1.0)
    chosen = rows[rows["threshold"].eq(threshold) | rows["threshold"].isna()]
    name = str(rows["strategy"].iloc[0])
    with style.look():
        figure = Figure(figsize=(1.4 * style.COLUMN_WIDTH, 1.1 * style.COLUMN_WIDTH), layout="constrained", dpi=150)
        axes = figure.add_subplot()
        if in_dollars:
            axes.plot(
                vertices["cost_usd"] * scale, vertices["quality"], "o--", color=SOFT, markersize=3, label="mixture"
            )
            for label, cost, quality in vertices.itertuples(index=False):
                # A model's name may hold dollar signs, which are no formula.
                at = (cost * scale, quality)
                axes.annotate(label, at, (3, -8), textcoords="offset points", color=SOFT, parse_math=False)
        axes.plot(
            rows[across] * scale, rows["quality"], ".-", color=style.colour(name), markersize=3, label="thresholds"
        )
        axes.plot(
            chosen[across] * scale, chosen["quality"], "*", color=INK, markersize=9, zorder=4, label="operating point"
        )
        axes.grid(color=FAINT, linewidth=0.3)
        axes.legend(frameon=False, fontsize=6.5)
        words = "Mean cost (USD per 1,000 tasks)" if in_dollars else "Share of tasks for small models"
        axes.set(xlabel=words, ylabel="Mean quality")
        axes.set_title(naming.label(name), parse_math=False)
    return figure
