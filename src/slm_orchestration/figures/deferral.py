"""Deferral curves: mean quality against the share of tasks that are escalated to a model that is not small."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.style import FAINT, SOFT


def deferral(curves: pd.DataFrame, estimates: pd.DataFrame, operating_points: pd.DataFrame) -> Figure:
    """Draw a panel per competing strategy: mean quality against the share of tasks that it escalates.

    Dashed is random escalation, from the cheapest model to the most expensive; the mark is the operating point.
    """
    overall = naming.overall(curves)
    overall = overall.assign(escalated=1 - overall["small_share"])
    ends = naming.metric(estimates, "quality")["estimate"][[naming.constants(estimates)[place] for place in (0, -1)]]
    chosen = overall.merge(operating_points[["strategy", "threshold"]], on=["strategy", "threshold"])
    names = [name for name in naming.contenders(estimates) if name in set(overall["strategy"])]
    with style.look():
        figure, panels = style.panels(len(names), height=1.15)
        for axes, name in zip(panels, names, strict=True):
            axes.plot([0, 1], ends, color=SOFT, linestyle=(0, (4, 2)), linewidth=0.8, label="random")
            _curve(axes, overall[overall["strategy"] == name], chosen[chosen["strategy"] == name], name)
        if panels:
            panels[0].set(xlim=(-0.03, 1.03))
        figure.supxlabel("Share of tasks escalated", fontsize=7)
        figure.supylabel("Mean quality", fontsize=7)
    return figure


def _curve(axes: Axes, curve: pd.DataFrame, point: pd.DataFrame, name: str) -> None:
    curve = curve.sort_values(["escalated", "quality"], kind="stable")
    axes.plot(curve["escalated"], curve["quality"], color=style.colour(name), label=f"curve:{name}")
    axes.plot(point["escalated"], point["quality"], label=f"point:{name}", **style.point(name))
    axes.grid(color=FAINT, linewidth=0.3)
    axes.set_axisbelow(True)
    axes.set_title(naming.label(name), color=style.colour(name), pad=3)
