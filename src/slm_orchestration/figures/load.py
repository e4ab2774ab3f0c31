"""Load test: achieved rate and latency against the offered rate, and memory over time."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import style
from slm_orchestration.figures.style import FAINT, INK, SOFT

LABELS = {
    "routing": "routing, in process",
    "cache": "cache hits, in process",
    "gateway_cache": "cache hits, gateway",
    "gateway_model": "smallest model, gateway",
}
_COLOURS = {"routing": "#D55E00", "cache": "#0072B2", "gateway_cache": "#009E73", "gateway_model": "#CC79A7"}


def load_figure(table: pd.DataFrame, windows: pd.DataFrame) -> Figure:
    """Draw the open loops of a LOAD table and the memory of each path's heaviest level in LOAD_WINDOWS."""
    opened = table[table["mode"] == "open"].sort_values("level", kind="stable")
    with style.look():
        figure = Figure(figsize=(style.TEXT_WIDTH, 2.2), layout="constrained")
        rate, latency, memory = figure.subplots(1, 3)
        for path, rows in opened.groupby("path", sort=False):
            _rate(rate, str(path), rows)
            _latency(latency, str(path), rows)
        for path, rows in windows.groupby("path", sort=False):
            _memory(memory, str(path), rows)
        span = [opened["level"].min(), opened["level"].max()]
        rate.plot(span, span, color=FAINT, linewidth=0.6, zorder=0, label="offered")
        rate.set(xscale="log", yscale="log", xlabel="Offered requests per second", ylabel="Answered per second")
        latency.set(
            xscale="log", yscale="log", xlabel="Offered requests per second", ylabel="Seconds (P50, dashed P99)"
        )
        memory.set(xscale="log", xlabel="Seconds", ylabel="Resident memory (MiB)", ylim=(0, None))
        figure.legend(
            *rate.get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False, fontsize=6.5
        )
    return figure


def _rate(axes: Axes, path: str, rows: pd.DataFrame) -> None:
    axes.plot(
        rows["level"], rows["achieved_rps"], color=_COLOURS.get(path, INK), marker="o", label=LABELS.get(path, path)
    )


def _latency(axes: Axes, path: str, rows: pd.DataFrame) -> None:
    for measure, dashes in (("p50_s", "-"), ("p99_s", (0, (4, 2)))):
        axes.plot(
            rows["level"], rows[measure], color=_COLOURS.get(path, SOFT), linestyle=dashes, marker="o",
            label=f"{measure}:{path}",
        )  # fmt: skip


def _memory(axes: Axes, path: str, rows: pd.DataFrame) -> None:
    longest = rows.sort_values("end_s", kind="stable").tail(1)
    shown = rows.merge(longest[["mode", "level"]], on=["mode", "level"]).sort_values("end_s", kind="stable")
    axes.plot(shown["end_s"], shown["memory_bytes"] / 2**20, color=_COLOURS.get(path, INK), label=f"memory:{path}")
