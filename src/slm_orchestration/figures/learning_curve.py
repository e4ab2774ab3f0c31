"""How many fit tasks a router needs, and what is left of its gain where the datasets or domains were never seen."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.labels import Label, beside
from slm_orchestration.figures.style import FAINT, SOFT

_GAIN = "mean_gain"


def learning_curve(by_size: Mapping[int, pd.DataFrame], unseen: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the mean gain over the mixture against the number of fit tasks, and beside it where datasets are unseen.

    `by_size` holds cross-fitted ESTIMATES by the number of fit tasks, `unseen` by what each fold holds whole: groups
    (tasks of datasets that were seen), datasets or domains. Bars are intervals, corrected for overlapping fits.
    """
    if not by_size:
        return _not_run()
    gains = {size: naming.metric(frame, _GAIN) for size, frame in sorted(by_size.items())}
    names = [name for name in next(iter(gains.values())).index if all(name in frame.index for frame in gains.values())]
    last = gains[max(gains)]["estimate"]
    names = sorted(names, key=lambda name: -float(last[name]))
    with style.look():
        figure = Figure(figsize=(style.TEXT_WIDTH, 2.2))
        left, right = figure.add_axes((0.085, 0.19, 0.295, 0.76)), figure.add_axes((0.68, 0.19, 0.31, 0.76))
        labels = []
        for name in names:
            estimates = [float(frame.loc[name, "estimate"]) for frame in gains.values()]  # type: ignore[arg-type]
            left.plot(list(gains), estimates, color=style.colour(name), marker=style.marker(name), markersize=3)
            labels.append(Label(max(gains), estimates[-1], naming.label(name), style.colour(name)))
        left.set(xscale="log", xlabel="Fit tasks", ylabel="Mean gain over the mixture")
        shown = [size for size in gains if size == max(gains) or size * 1.6 < min(s for s in gains if s > size)]
        left.set(xticks=shown, xticklabels=[f"{size:,}" for size in shown])
        left.minorticks_off()
        left.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
        beside(left, labels, size=6)
        _unseen(right, unseen, names)
    return figure


def _not_run() -> Figure:
    with style.look():
        figure = Figure(figsize=(style.TEXT_WIDTH, 0.5))
        figure.text(0.5, 0.5, "not run: python -m experiments.cross_fit makes these results", ha="center", color=SOFT)
    return figure


def _unseen(axes: Axes, unseen: Mapping[str, pd.DataFrame], names: list[str]) -> None:
    axes.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    for place, frame in enumerate(unseen.values()):
        gains = naming.metric(frame, _GAIN)
        for shift, name in enumerate(name for name in names if name in gains.index):
            low, estimate, high = (float(gains.loc[name, end]) for end in ("low", "estimate", "high"))  # type: ignore[arg-type]
            at = place + 0.7 * (shift / max(len(names) - 1, 1) - 0.5)
            axes.plot([at, at], [low, high], color=SOFT, linewidth=0.7, zorder=1)
            axes.plot(at, estimate, marker=style.marker(name), color=style.colour(name), markersize=3.5, zorder=2)
    axes.set(xticks=range(len(unseen)), xticklabels=[f"{name}" for name in unseen], ylabel="Mean gain over the mixture")
    axes.set_xlim(-0.5, len(unseen) - 0.5)
