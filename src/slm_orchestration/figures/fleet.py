"""A simulated fleet's latency against the load that is offered to it."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from slm_orchestration.figures import strategies, style


def fleet_figure(table: pd.DataFrame) -> Figure:
    """Draw P50 and P99 of `table` (strategy, replicas, rate, p50_s, p99_s), a panel per number of replicas."""
    sizes = sorted(table["replicas"].unique())
    with style.look():
        figure = Figure(figsize=(style.TEXT_WIDTH, 2.2), layout="constrained")
        panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
        for axes, size in zip(panels, sizes, strict=True):
            for name, rows in table[table["replicas"] == size].groupby("strategy", sort=False):
                shown, tone = rows.sort_values("rate"), _COLOURS[list(table["strategy"].unique()).index(name) % 4]
                axes.plot(shown["rate"], shown["p50_s"], color=tone, label=strategies.label(str(name)))
                axes.plot(shown["rate"], shown["p99_s"], color=tone, linestyle=(0, (4, 2)), label=f"p99:{name}")
            axes.set(xscale="log", yscale="log", xlabel="Requests per second")
            axes.set_title(f"simulated, {size} replicas of each model", pad=3)
        panels[0].set_ylabel("Seconds (P50, dashed P99)")
        handles, labels = panels[0].get_legend_handles_labels()
        named = [(handle, label) for handle, label in zip(handles, labels, strict=True) if not label.startswith("p99:")]
        figure.legend(*zip(*named, strict=True), loc="outside upper center", ncols=4, frameon=False, fontsize=6.5)
    return figure


_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")
