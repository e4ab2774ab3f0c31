"""Heatmap of retention: domain by strategy."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.style import FAINT, INK, SOFT

# The colour scale covers these retentions; text is white where retention differs from 1 by more than _DARK.
_SCALE = (0.0, 2.0)
_DARK = 0.6


def domain_heatmap(estimates: pd.DataFrame) -> Figure:
    """Draw the retention of every strategy in every domain, overall first; bold where its interval excludes 1.

    The number of tasks is beside the domain. A cell without a value is hatched: the strategy has no row, or the most
    expensive model has quality 0 in the domain.
    """
    cells = _cells(estimates)
    domains, names = _domains(cells), _columns(estimates)
    width = style.COLUMN_WIDTH if len(names) <= 4 else style.TEXT_WIDTH
    with style.look():
        figure = Figure(figsize=(width, 0.95 + 0.17 * len(domains)), layout="constrained")
        axes = figure.add_subplot()
        values = cells["estimate"].unstack("strategy").reindex(index=domains, columns=names)
        # Orange below 1, purple above, white where nothing changes: told apart with any common colour blindness.
        image = axes.imshow(values.to_numpy(dtype=float), cmap="PuOr", norm=Normalize(*_SCALE), aspect="auto")
        for row, domain in enumerate(domains):
            for column, name in enumerate(names):
                _cell(axes, (column, row), cells.T[(name, domain)] if (name, domain) in cells.index else None)
        axes.set_xticks(
            range(len(names)),
            [naming.label(name) for name in names],
            rotation=35,
            ha="left",
            rotation_mode="anchor",
        )
        axes.set_yticks(range(len(domains)), [_row_label(cells, domain) for domain in domains])
        axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
        axes.spines[:].set_visible(False)
        axes.axhline(0.5, color="white", linewidth=2.5)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=18, pad=0.01, extend="max")
        bar.set_label("Retention")
        bar.outline.set_visible(False)
    return figure


def _cells(estimates: pd.DataFrame) -> pd.DataFrame:
    rows = estimates[estimates["metric"] == "retention"]
    return rows.set_index(["strategy", "domain"])[["estimate", "low", "high", "tasks"]]


def _domains(cells: pd.DataFrame) -> list[str]:
    return [naming.OVERALL, *naming.domains(cells.index.get_level_values("domain"))]


def _columns(estimates: pd.DataFrame) -> list[str]:
    """Return contenders and constants, but for the most expensive model, whose retention is 1 by definition."""
    most_expensive = naming.constants(estimates)[-1]
    return naming.contenders(estimates) + [name for name in naming.constants(estimates) if name != most_expensive]


def _row_label(cells: pd.DataFrame, domain: str) -> str:
    tasks = cells.xs(domain, level="domain")["tasks"].max()
    return f"{domain.replace('_', ' ')} ({int(tasks)})"


def _cell(axes: Axes, place: tuple[int, int], cell: pd.Series | None) -> None:
    column, row = place
    if cell is None or pd.isna(cell["estimate"]):
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor="white", edgecolor=FAINT, hatch="/////", linewidth=0))
        axes.text(column, row, "n/a", ha="center", va="center", color=SOFT, fontsize=6)
        return
    excludes_one = pd.notna(cell["low"]) and (cell["low"] > 1 or cell["high"] < 1)
    weight = "bold" if excludes_one else "normal"
    ink = "white" if abs(cell["estimate"] - 1) > _DARK else INK
    axes.text(column, row, f"{cell['estimate']:.2f}", ha="center", va="center", color=ink, fontsize=6, weight=weight)
