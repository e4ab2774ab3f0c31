"""Votes and verification against each model alone: quality, cost and intervals."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from slm_orchestration.figures import style
from slm_orchestration.figures.style import INK

_LOOK = {"small": ("#0072B2", "o"), "all": ("#D55E00", "s")}


def aggregation_figure(table: pd.DataFrame) -> Figure:
    """Draw the table of experiments.aggregation: quality over cost, and the difference to the most expensive model."""
    with style.look():
        figure = Figure(figsize=(style.TEXT_WIDTH, 2.4), layout="constrained")
        cost, against = figure.subplots(1, 2, width_ratios=[1, 1.2])
        for place, row in enumerate(table.to_dict("records")):
            colour, marker = _LOOK.get(str(row["method"]).rpartition(" of ")[2], (INK, "D"))
            look = {"color": colour, "marker": marker, "markersize": 3.5, "elinewidth": 0.7, "linestyle": "none"}
            cost.errorbar(
                1e6 * row["cost_usd"], row["quality"],
                yerr=[[row["quality"] - row["low"]], [row["high"] - row["quality"]]], **look,
            )  # fmt: skip
            against.errorbar(
                row["against"], place, xerr=[[row["against"] - row["from"]], [row["to"] - row["against"]]], **look
            )
        cost.set(xscale="log", xlabel="Cost per task (millionths of a dollar)", ylabel="Quality")
        cost.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        cost.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        cost.xaxis.set_minor_formatter(NullFormatter())
        against.axvline(0, color=INK, linewidth=0.6)
        against.set_yticks(range(len(table)), table["method"])
        against.invert_yaxis()
        against.set_xlabel("Quality minus the most expensive model's")
    return figure
