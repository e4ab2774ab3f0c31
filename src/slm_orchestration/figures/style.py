"""Colours, markers and matplotlib settings of all figures, and how figures are saved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from slm_orchestration.artifacts import replacing
from slm_orchestration.figures import naming

COLUMN_WIDTH = 3.4
TEXT_WIDTH = 7.0

INK, SOFT, FAINT = "#222222", "#7a7a7a", "#d9d9d9"

# Okabe and Ito's colours, then Tol's muted ones, which common colour blindness leaves distinguishable.
_COLOURS = {
    "adaptive": "#D55E00",
    "confidence": "#0072B2",
    "heuristic": "#009E73",
    "domain_table_predicted": "#CC79A7",
    "logistic": "#332288",
    "knn": "#44AA99",
    "boosting": "#117733",
    "matrix_factorization": "#999933",
    "bradley_terry": "#AA4499",
    "hidden_state": "#882255",
    "length": "#E69F00",
    "cascade_routing": "#56B4E9",
    "kinds": "#E69F00",
    "forest": "#CC6677",
    "wide_logistic": "#88CCEE",
    "adaptive_question": "#DDAA33",
    "mixture": INK,
    "random": SOFT,
    "guess": SOFT,
    "classifier": SOFT,
    "oracle": INK,
    "domain_table_given": SOFT,
}
_MARKERS = {
    "adaptive": "o",
    "confidence": "s",
    "heuristic": "^",
    "domain_table_predicted": "D",
    "logistic": "v",
    "knn": "p",
    "boosting": "h",
    "matrix_factorization": "<",
    "bradley_terry": ">",
    "hidden_state": "P",
    "length": "8",
    "cascade_routing": "X",
    "kinds": "v",
    "forest": "H",
    "wide_logistic": "<",
    "adaptive_question": "o",
    "mixture": "|",
    "random": "x",
    "guess": "+",
    "classifier": "1",
    "oracle": "*",
    "domain_table_given": "d",
}
_SPARE_COLOURS = ("#E69F00", "#56B4E9", "#332288", "#117733", "#999933", "#AA4499", "#882255", "#CC6677")
_SPARE_MARKERS = ("v", "<", ">", "P", "X", "p", "h", "8")

_LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.titlesize": 7,
    "axes.titlelocation": "left",
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.0,
    "lines.markersize": 4,
    "text.color": INK,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.hashsalt": "slm-orchestration",
}


@contextmanager
def look() -> Iterator[None]:
    """Draw and write inside this block in the project's style, whatever the user's own settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK)
        yield


def colour(strategy: str) -> str:
    """Return a strategy's colour, the same in every figure; an unknown strategy's is derived from its name."""
    if naming.is_constant(strategy):
        return INK
    return _COLOURS.get(strategy) or _SPARE_COLOURS[_number(strategy) % len(_SPARE_COLOURS)]


def marker(strategy: str) -> str:
    """Return a strategy's marker, so that strategies differ by more than colour."""
    if naming.is_constant(strategy):
        return "o"
    return _MARKERS.get(strategy) or _SPARE_MARKERS[_number(strategy) % len(_SPARE_MARKERS)]


def point(strategy: str) -> dict[str, Any]:
    """Return the keyword arguments of matplotlib for a strategy's point."""
    shape, tone = marker(strategy), colour(strategy)
    # A white edge separates overlapping points; markers made of strokes have no edge.
    edge = (tone, 1.0) if shape in "x+|1" else ("white", 0.4)
    size = 6.5 if shape == "*" else 4.2
    return {
        "color": tone,
        "marker": shape,
        "markersize": size,
        "markeredgecolor": edge[0],
        "markeredgewidth": edge[1],
        "linestyle": "none",
    }


def panels(number: int, *, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with `number` equal panels that share their axes, as wide as the text; call it inside `look`."""
    columns = max(1, number) if number <= 4 else 3 if number in (5, 6, 9) else 4
    rows = max(1, -(-number // columns))
    figure = Figure(
        figsize=(TEXT_WIDTH if number > 1 else COLUMN_WIDTH, 0.4 + (height + 0.2) * rows), layout="constrained"
    )
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    shown = list(grid.flat)[:number]
    for axes in list(grid.flat)[number:]:
        axes.remove()
    # The lowest panel of each column has tick labels, also where the last row is not full.
    for axes in shown[-columns:]:
        axes.tick_params(labelbottom=True)
    return figure, shown


def save(figure: Figure, path: Path) -> list[Path]:
    """Write `path` with the endings .pdf (vector, fonts embedded) and .png, and return both.

    The bytes depend on the figure alone: no date and no program version is written.
    """
    pdf, png = path.with_suffix(".pdf"), path.with_suffix(".png")
    with look():
        with replacing(pdf) as temporary:
            figure.savefig(temporary, metadata={"Creator": None, "Producer": None, "CreationDate": None})
        with replacing(png) as temporary:
            FigureCanvasAgg(figure)
            figure.savefig(temporary, dpi=300, metadata={"Software": None})
    return [pdf, png]


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
