"""How many fit tasks a router needs, and what is left of its gain where the datasets or domains were never seen."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.labels import Label, beside
from slm_orchestration.figures.style import FAINT, SOFT
from slm_orchestration.statistics.strategy_matrix import CLASSIFIER

_GAIN = "mean_gain"


def learning_curve(by_suite: Mapping[str, Mapping[int, pd.DataFrame]], unseen: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the mean gain over the mixture against the number of fit tasks, and beside it where datasets are unseen.

    `by_suite` holds cross-fitted ESTIMATES by suite, at most two, and number of fit tasks; `unseen` by what each fold
    holds whole: groups (tasks of datasets that were seen), datasets or domains, in the first suite. Bars are intervals,
    corrected for overlapping fits. The dashed line is the gain of the classifier's answers, without a language model.
    """
    suites = [suite for suite, by_size in by_suite.items() if by_size]
    if not suites:
        return _not_run()
    with style.look():
        figure = Figure(figsize=(style.TEXT_WIDTH, 2.2))
        for suite, place in zip(suites, (0.07, 0.43), strict=False):
            _curves(figure.add_axes((place, 0.19, 0.19, 0.7)), by_suite[suite], suite)
        figure.axes[0].set_ylabel("Mean gain over the mixture")
        if unseen:
            _unseen(figure.add_axes((0.8, 0.19, 0.195, 0.7)), unseen, _names(by_suite[suites[0]]))
    return figure


def _names(by_size: Mapping[int, pd.DataFrame]) -> list[str]:
    """Return the strategies that have a mean gain at every size and gain at the last, the largest there first."""
    gains = [naming.metric(frame, _GAIN)["estimate"] for _, frame in sorted(by_size.items())]
    names = [
        name for name in gains[-1].index if all(pd.notna(gain.get(name)) for gain in gains) and gains[-1][name] > 0
    ]
    return sorted(names, key=lambda name: -float(gains[-1][name]))


def _curves(axes: Axes, by_size: Mapping[int, pd.DataFrame], suite: str) -> None:
    """Draw one line per strategy, and the classifier's as a dashed one."""
    sizes, labels = sorted(by_size), []
    metrics = dict.fromkeys(_names(by_size), _GAIN) | {CLASSIFIER: "gain_over_mixture"}
    for name, metric in metrics.items():
        found = {size: naming.metric(by_size[size], metric)["estimate"] for size in sizes}
        if any(name not in estimates.index for estimates in found.values()):
            continue
        gains, colour = [float(found[size][name]) for size in sizes], style.colour(name)
        line = "--" if name == CLASSIFIER else "-"
        axes.plot(sizes, gains, line, color=colour, marker=style.marker(name), markersize=3, label=name)
        labels.append(Label(max(sizes), gains[-1], naming.label(name), colour))
    axes.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    shown = [size for size in sizes if size == sizes[-1] or size * 2.2 < min(s for s in sizes if s > size)]
    axes.set(xscale="log", xlabel=f"Fit tasks of {suite}", xticks=shown, xticklabels=[f"{size:,}" for size in shown])
    axes.minorticks_off()
    beside(axes, labels, size=5.6)


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
    axes.set(xticks=range(len(unseen)), xticklabels=[name.replace(" ", "\n") for name in unseen])
    axes.set_xlim(-0.5, len(unseen) - 0.5)
