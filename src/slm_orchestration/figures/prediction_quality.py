"""The quality of routers' predictions against the gain that they bring: a panel per measure, a point per strategy."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.labels import Label, beside

_PANELS = {
    "brier": "Brier score (less is better)",
    "auroc": "AUROC",
    "advantage": "Correlation of predicted\nand graded advantage",
}


def prediction_quality(measured: pd.DataFrame, correlations: pd.DataFrame) -> Figure:
    """Draw mean_gain against three measures. `measured` has a row per strategy, `correlations` one per measure."""
    spearman = correlations.set_index("measure")["spearman"]
    with style.look():
        figure = Figure(figsize=(style.TEXT_WIDTH, 2.3))
        panels = figure.subplots(1, len(_PANELS), sharey=True)
        for axes, (measure, label) in zip(panels, _PANELS.items(), strict=True):
            for row in measured.to_dict("records"):
                axes.plot(row[measure], row["mean_gain"], "o", color=style.colour(row["strategy"]), markersize=3.5)
            axes.set(xlabel=label, title=f"rank correlation {spearman[measure]:.2f}")
            axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=0)
        panels[0].set_ylabel("Mean gain over the mixture")
        figure.subplots_adjust(left=0.08, right=0.8, bottom=0.25, top=0.88, wspace=0.12)
        last = measured[measured["advantage"].notna()]
        labels = [
            Label(row["advantage"], row["mean_gain"], naming.label(row["strategy"]), style.colour(row["strategy"]))
            for row in last.to_dict("records")
        ]
        beside(panels[-1], labels, size=5.8)
    return figure
