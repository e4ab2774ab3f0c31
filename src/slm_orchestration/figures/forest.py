"""Forest plot of the gain over the mixture: each strategy's interval, corrected p-value and verdict."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.style import FAINT, INK, SOFT
from slm_orchestration.statistics import verdicts
from slm_orchestration.statistics.strategy_matrix import RANDOM


def forest(estimates: pd.DataFrame, comparisons: pd.DataFrame) -> Figure:
    """Draw the gain over the mixture per strategy, the largest first, references below them.

    Each row has its verdict and the p-value of the paired t-test against the mixture, Holm-corrected over strategies.
    """
    gains = naming.metric(estimates, "gain_over_mixture")
    gains = gains[gains["estimate"].notna()]
    ranked = [name for name in naming.contenders(estimates) if name in gains.index]
    below = [name for name in ("domain_table_given", "oracle", RANDOM) if name in gains.index]
    names = ranked + below
    judged = verdicts.gain_verdicts(comparisons)
    with style.look():
        figure = Figure(figsize=(style.COLUMN_WIDTH, 0.55 + 0.128 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        for row, name in enumerate(names):
            _row(axes, gains.T[name], name, row)
            if name in judged:
                _verdict(axes, judged[name], row)
        axes.axvline(0.0, color=INK, linewidth=0.6, zorder=1)
        if ranked and below:
            axes.axhline(len(ranked) - 0.5, color=FAINT, linewidth=0.6)
        axes.set_yticks(range(len(names)), [naming.label(name) for name in names])
        for tick, name in zip(axes.get_yticklabels(), names, strict=True):
            tick.set_color(style.colour(name))
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel="Gain over the mixture (quality)")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=FAINT, linewidth=0.3)
        axes.set_axisbelow(True)
    return figure


def _row(axes: Axes, gain: pd.Series, name: str, row: int) -> None:
    colour = style.colour(name)
    if pd.notna(gain["low"]) and pd.notna(gain["high"]):
        axes.plot([gain["low"], gain["high"]], [row, row], color=colour, linewidth=1.0, label=f"interval:{name}")
    axes.plot([gain["estimate"]], [row], label=f"gain:{name}", **style.point(name))


def _verdict(axes: Axes, found: verdicts.GainVerdict, row: int) -> None:
    p = found.p_adjusted
    tested = "" if pd.isna(p) else ", p < 0.001" if p < 0.001 else f", p = {p:.3f}"
    axes.annotate(
        found.word + tested,
        xy=(1.02, row),
        xycoords=("axes fraction", "data"),
        fontsize=5.8,
        va="center",
        color=INK if found.word in (verdicts.BETTER, verdicts.WORSE) else SOFT,
        annotation_clip=False,
    )
