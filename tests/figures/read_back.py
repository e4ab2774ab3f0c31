"""What a figure shows, as numbers: lines, error bars, titles, boxes of texts."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import style


def plotted(axes: Axes, label: str) -> list[tuple[float, float]]:
    line = next(line for line in axes.get_lines() if line.get_label() == label)
    return [(float(x), float(y)) for x, y in line.get_xydata()]


def errorbar(axes: Axes, label: str) -> list[tuple[float, float]]:
    container = next(container for container in axes.containers if container.get_label() == label)
    return [(float(x), float(y)) for x, y in container.lines[0].get_xydata()]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def boxes(figure: Figure, texts: list) -> list:
    figure.draw_without_rendering()
    return [text.get_window_extent() for text in texts if text.get_text()]


def fits(figure: Figure) -> bool:
    """Return whether nothing is cut off at the edge of the figure."""
    with style.look():
        figure.draw_without_rendering()
        drawn = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return min(drawn.x0, drawn.y0) >= -0.01 and drawn.x1 <= width + 0.01 and drawn.y1 <= height + 0.01
