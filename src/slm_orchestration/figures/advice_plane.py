"""The cost-quality plane of an advice: the models, the hull that mixing them reaches, and the chosen router."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.style import FAINT, INK, SOFT

_NAMED = 8  # models that are named; of more, those in the mixture


def advice_plane(constants: pd.DataFrame, estimates: pd.DataFrame, router: str | None, *, dollars: bool) -> Figure:
    """Draw each model's mean cost and quality, the mixture of those that are in it, and the router with its intervals.

    `constants` has the columns model, quality, cost_usd and in_mixture, `estimates` is the table ESTIMATES. Without
    dollars, cost is in calls. `router` None: no router is drawn.
    """
    with style.look():
        figure = Figure(figsize=(style.TEXT_WIDTH * 0.7, 3.2), layout="constrained")
        axes = figure.add_subplot()
        hull = constants[constants["in_mixture"]].sort_values("cost_usd", kind="stable")
        end = float(constants["cost_usd"].max()) * 1.1
        corners = [*hull["cost_usd"], end], [*hull["quality"], hull["quality"].iloc[-1]]
        axes.plot(*corners, color=INK, linestyle=(0, (4, 2)), linewidth=0.8, label="mixing models at random")
        for row in constants.to_dict("records"):
            at, colour = (float(row["cost_usd"]), float(row["quality"])), INK if row["in_mixture"] else SOFT
            axes.plot(*at, "o", color=colour, markersize=4)
            if row["in_mixture"] or len(constants) <= _NAMED:
                # A name is the user's own: two dollar signs in it are no formula.
                looks: dict[str, Any] = {"fontsize": 6, "color": colour, "parse_math": False}
                axes.annotate(str(row["model"]), at, xytext=(4, -8), textcoords="offset points", **looks)
        if router is not None:
            _router(axes, estimates, router, dollars=dollars)
        axes.set(xlabel="Mean cost per task (USD)" if dollars else "Share of tasks that call a large model")
        axes.set(ylabel="Mean quality")
        axes.grid(color=FAINT, linewidth=0.3)
        axes.legend(loc="lower right", fontsize=6, frameon=False)
    return figure


def _router(axes: Axes, estimates: pd.DataFrame, router: str, *, dollars: bool) -> None:
    quality, ends = (
        {end: float(naming.metric(estimates, name).loc[router, end]) for end in ("estimate", "low", "high")}  # type: ignore[arg-type]
        for name in ("quality", "cost_usd" if dollars else "small_share")
    )
    at, low, high = ends.values() if dollars else (1 - ends["estimate"], 1 - ends["high"], 1 - ends["low"])
    crossed: dict[str, Any] = {
        "xerr": None if pd.isna(low) else [[max(0.0, at - low)], [max(0.0, high - at)]],
        "yerr": None
        if pd.isna(quality["low"])
        else [[quality["estimate"] - quality["low"]], [quality["high"] - quality["estimate"]]],
    }
    axes.errorbar(at, quality["estimate"], elinewidth=0.8, label=naming.label(router), **crossed, **style.point(router))
