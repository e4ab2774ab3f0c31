"""The distribution of latency over tasks at the operating point."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.labels import Label, beside
from slm_orchestration.figures.style import FAINT, SOFT

QUANTILES = (0.5, 0.95, 0.99)
# Only this many strategies, those of the largest gain, are drawn beside the models: more lines overlap.
_STRATEGIES = 3
_LABELLED = 0.6  # labels point to the lines at this share, where they are farthest apart


def latency_ecdf(served: pd.DataFrame, estimates: pd.DataFrame) -> Figure:
    """Draw the share of tasks answered within a time, with p50, p95 and p99 marked on each line.

    `served` holds DECISIONS at the operating points. A quantile is the least time within which that share is answered.
    """
    present = set(served["strategy"])
    names = [*naming.constants(estimates), *naming.contenders(estimates)[:_STRATEGIES]]
    with style.look():
        figure = Figure(figsize=(style.COLUMN_WIDTH, 2.3))
        axes = figure.add_axes((0.13, 0.17, 0.52, 0.78))
        axes.set(xscale="log", ylim=(0, 1.02), xlabel="Seconds per task", ylabel="Share of tasks answered")
        labels = [
            _line(axes, served.loc[served["strategy"] == name, "latency_s"], name) for name in names if name in present
        ]
        for share, above in zip(QUANTILES, ("bottom", "top", "bottom"), strict=True):
            axes.axhline(share, color=FAINT, linewidth=0.5, zorder=0)
            axes.annotate(
                f"p{round(100 * share)}",
                xy=(0.01, share),
                xycoords=("axes fraction", "data"),
                fontsize=5.5,
                color=SOFT,
                va=above,
            )
        beside(axes, labels, size=6)
    return figure


def quantiles(latency_s: pd.Series) -> list[float]:
    """Return p50, p95 and p99: each the least recorded time within which that share of the tasks is answered."""
    return [float(np.quantile(latency_s, share, method="inverted_cdf")) for share in QUANTILES]


def _line(axes: Axes, latency_s: pd.Series, name: str) -> Label:
    values = np.sort(latency_s.to_numpy(dtype=float))
    shares = np.arange(1, values.size + 1) / values.size
    constant = naming.is_constant(name)
    tone, dashes = (SOFT, (0, (3, 1))) if constant else (style.colour(name), "-")
    axes.step(values, shares, where="post", color=tone, linestyle=dashes, label=f"latency:{name}")
    axes.plot(
        quantiles(latency_s),
        QUANTILES,
        color=tone,
        marker=style.marker(name),
        linestyle="none",
        markersize=3,
        label=f"quantiles:{name}",
    )
    place = int(_LABELLED * values.size)
    return Label(float(values[place]), float(shares[place]), naming.label(name), tone)
