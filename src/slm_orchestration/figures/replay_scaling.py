"""Seconds of an exact replay against the number of tasks, compared with a loop over thresholds."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from slm_orchestration.figures import style
from slm_orchestration.figures.style import FAINT, INK, SOFT

_COLOURS = (INK, "#D55E00", "#0072B2")


def replay_scaling(growth: pd.DataFrame) -> Figure:
    """Draw seconds over tasks, both logarithmic, of each way in `growth` (way, tasks, seconds).

    A dotted line through the first point of the first way shows growth in proportion to the tasks.
    """
    with style.look():
        figure = Figure(figsize=(style.COLUMN_WIDTH, 2.2), layout="constrained")
        axes = figure.add_subplot()
        for colour, (way, rows) in zip(_COLOURS, growth.groupby("way", sort=False), strict=False):
            rows = rows.sort_values("tasks")
            axes.plot(rows["tasks"], rows["seconds"], marker="o", color=colour, label=str(way))
            last = rows.iloc[-1]
            axes.annotate(
                str(way), (last["tasks"], last["seconds"]), xytext=(0, 5), textcoords="offset points",
                ha="left" if len(rows) == 1 else "right", va="bottom", color=colour, fontsize=6.5,
            )  # fmt: skip
        first, most = growth.iloc[0], growth["tasks"].max()
        proportional = [first["seconds"], first["seconds"] * most / first["tasks"]]
        axes.plot([first["tasks"], most], proportional, color=SOFT, linestyle=":", linewidth=0.8, label="in proportion")
        axes.set(xscale="log", yscale="log", xlabel="Tasks", ylabel="Seconds")
        axes.grid(color=FAINT, linewidth=0.3)
    return figure
