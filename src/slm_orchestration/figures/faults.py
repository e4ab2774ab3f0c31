"""Availability under injected faults, with and without each protection."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from slm_orchestration.figures import style

_LOOK = {
    "none": ("#222222", "x"),
    "timeout": ("#E69F00", "s"),
    "retry": ("#0072B2", "^"),
    "breaker": ("#CC79A7", "v"),
    "fallback": ("#009E73", "D"),
    "rounds": ("#56B4E9", "P"),
    "all": ("#D55E00", "o"),
}


def faults_figure(table: pd.DataFrame) -> Figure:
    """Draw a panel per fault of a FAULTS table: availability with its 95 % interval against the rate of faults."""
    kinds = table["fault"].unique().tolist()
    with style.look():
        figure = Figure(figsize=(style.TEXT_WIDTH, 2.2), layout="constrained")
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, kinds, strict=True):
            for name, rows in table[table["fault"] == kind].groupby("protection", sort=False):
                colour, marker = _LOOK[str(name)]
                rows = rows.sort_values("rate")
                ends = [rows["availability"] - rows["low"], rows["high"] - rows["availability"]]
                axes.errorbar(
                    100 * rows["rate"], 100 * rows["availability"], yerr=[100 * end for end in ends],
                    color=colour, marker=marker, label=str(name), elinewidth=0.6, markersize=3,
                )  # fmt: skip
            axes.set_title(kind, pad=3)
            axes.set_xlabel("Injected faults (% of calls)")
        panels[0].set_ylabel("Answered in time (%)")
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=len(_LOOK), frameon=False, fontsize=6.5)
    return figure
