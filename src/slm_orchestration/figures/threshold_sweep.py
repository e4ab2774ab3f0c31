"""Quality, cost, latency and small share of each strategy over its threshold."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.style import FAINT, INK, SOFT

# Four measures on one scale: three relative to the most expensive model, and a share.
_MEASURES: dict[str, tuple[str, Any, str]] = {
    "quality": ("#0072B2", "-", "quality"),
    "cost_usd": ("#D55E00", (0, (5, 1)), "cost"),
    "latency_s": ("#009E73", (0, (3, 1, 1, 1)), "latency"),
    "small_share": (SOFT, (0, (1, 1)), "small share"),
}


def threshold_sweep(curves: pd.DataFrame, estimates: pd.DataFrame, operating_points: pd.DataFrame) -> Figure:
    """Draw a panel per competing strategy; quality, cost and latency are shares of the most expensive model's.

    The vertical line is the operating threshold, chosen on calibration tasks.
    """
    swept = relative(curves, most_expensive=naming.constants(estimates)[-1])
    chosen = operating_points.set_index("strategy")["threshold"]
    names = [name for name in naming.contenders(estimates) if name in set(swept["strategy"])]
    with style.look():
        figure, panels = style.panels(len(names), height=1.25)
        for axes, name in zip(panels, names, strict=True):
            _sweep(axes, swept[swept["strategy"] == name])
            if name in chosen.index and pd.notna(chosen[name]):
                axes.axvline(chosen[name], color=INK, linewidth=0.6, zorder=1, label="operating threshold")
            axes.set_title(naming.label(name), pad=3)
        if panels:
            top = swept.loc[swept["strategy"].isin(names), list(_MEASURES)].to_numpy(dtype=float).max()
            panels[0].set(xlim=(0, 1), ylim=(0, 1.05 * top))
        _key(figure)
        figure.supxlabel("Threshold", fontsize=7)
        figure.supylabel("Over the most expensive model's", fontsize=7)
    return figure


def relative(curves: pd.DataFrame, *, most_expensive: str) -> pd.DataFrame:
    """Return the overall curves with quality, cost and latency divided by those of the strategy `most_expensive`."""
    overall = naming.overall(curves)
    unit = overall[overall["strategy"] == most_expensive].iloc[0]
    swept = overall[overall["threshold"].notna()].sort_values(["strategy", "threshold"], kind="stable").copy()
    for measure in ("quality", "cost_usd", "latency_s"):
        swept[measure] = swept[measure] / unit[measure] if unit[measure] > 0 else float("nan")
    return swept


def _sweep(axes: Axes, rows: pd.DataFrame) -> None:
    axes.axhline(1.0, color=FAINT, linewidth=0.6, zorder=0)
    for measure, (colour, dashes, _) in _MEASURES.items():
        axes.plot(rows["threshold"], rows[measure], color=colour, linestyle=dashes, label=measure)


def _key(figure: Figure) -> None:
    handles = [
        Line2D([], [], color=colour, linestyle=dashes, label=words) for colour, dashes, words in _MEASURES.values()
    ]
    handles.append(Line2D([], [], color=INK, linewidth=0.6, label="operating threshold"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=6.5)
