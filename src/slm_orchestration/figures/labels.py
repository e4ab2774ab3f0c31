"""Direct labels that do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray


@dataclass(frozen=True)
class Label:
    """A text for the point (x, y) of an axes."""

    x: float
    y: float
    text: str
    colour: str


def spread(wanted: Sequence[float], *, gap: float, low: float, high: float) -> NDArray[np.float64]:
    """Return positions near the `wanted` ones, in their order, at least `gap` apart and within [low, high].

    Least squares by pooling: neighbours that are too close move apart by equal amounts. When not all fit, they are
    placed evenly.
    """
    values = np.asarray(wanted, dtype=float)
    if values.size == 0:
        return values
    if gap * (values.size - 1) > high - low:
        return _in_order(values, np.linspace(low, high, values.size))
    order = np.argsort(values, kind="stable")
    steps = gap * np.arange(values.size)
    pooled = _non_decreasing(values[order] - steps)
    placed = np.clip(pooled, low, high - steps[-1]) + steps
    return _in_order(values, placed)


def beside(axes: Axes, labels: Sequence[Label], *, size: float, left: float = 1.04) -> None:
    """Write `labels` in a column right of `axes`, in the order of their y, each tied to its point by a thin line.

    `left` is the column's left edge in widths of the axes; the limits of `axes` must be final.
    """
    if not labels:
        return
    height = axes.get_window_extent().height * 72 / axes.figure.dpi
    low, high = axes.get_ylim()
    heights = [(label.y - low) / (high - low) for label in labels]
    placed = spread(heights, gap=size * 1.3 / height, low=0.0, high=1.0)
    for label, where in zip(labels, placed, strict=True):
        axes.annotate(
            label.text,
            xy=(label.x, label.y),
            xytext=(left, where),
            textcoords="axes fraction",
            fontsize=size,
            color=label.colour,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": label.colour,
                "alpha": 0.6,
                "linewidth": 0.4,
                "shrinkA": 1,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )


def _non_decreasing(values: NDArray[np.float64]) -> NDArray[np.float64]:
    blocks: list[list[float]] = []
    for value in values:
        blocks.append([value, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, count), (before, number) = blocks.pop(), blocks.pop()
            blocks.append([(mean * count + before * number) / (count + number), count + number])
    return np.concatenate([np.full(int(count), mean) for mean, count in blocks])


def _in_order(values: NDArray[np.float64], placed: NDArray[np.float64]) -> NDArray[np.float64]:
    result = np.empty_like(values)
    result[np.argsort(values, kind="stable")] = placed
    return result
