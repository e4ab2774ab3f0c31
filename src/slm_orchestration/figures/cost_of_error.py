"""Total cost per task, calls and errors, against the price of a wrong answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.labels import Label, beside
from slm_orchestration.figures.style import FAINT, SOFT

_STRATEGIES = 4
_STEPS = 80


def cost_of_error(estimates: pd.DataFrame) -> Figure:
    """Draw total cost c + w (1 - q) of models, leading strategies and the oracle, over the most expensive model's.

    `w` is the price of a wrong answer, in mean costs of the most expensive model; below 1 a choice is the cheaper one.
    """
    cost, quality = (naming.metric(estimates, name)["estimate"] for name in ("cost_usd", "quality"))
    constants = naming.constants(estimates)
    names = [*constants[:-1], *naming.contenders(estimates)[:_STRATEGIES], "oracle"]
    prices = np.geomspace(0.1, 1000.0, _STEPS)
    with style.look():
        figure = Figure(figsize=(style.COLUMN_WIDTH, 2.3))
        axes = figure.add_axes((0.13, 0.17, 0.52, 0.78))
        axes.set(
            xscale="log",
            xlabel=f"Price of a wrong answer (calls of {naming.label(constants[-1])})",
            ylabel="Total cost (most expensive model = 1)",
        )
        axes.axhline(1.0, color=SOFT, linewidth=0.8, label="most expensive")
        labels = [Label(prices[-1], 1.0, naming.label(constants[-1]), SOFT)]
        for name in [name for name in names if name in cost.index]:
            ratio = relative_total((cost[name], quality[name]), (cost[constants[-1]], quality[constants[-1]]), prices)
            tone, dashes = (SOFT, (0, (3, 1))) if naming.is_constant(name) else (style.colour(name), "-")
            axes.plot(prices, ratio, color=tone, linestyle=dashes, label=f"total:{name}")
            labels.append(Label(prices[-1], float(ratio[-1]), naming.label(name), tone))
        axes.set_xlim(prices[0], prices[-1])
        axes.set_ylim(bottom=0.0)
        axes.grid(color=FAINT, linewidth=0.3)
        beside(axes, labels, size=6)
    return figure


def relative_total(
    point: tuple[float, float], most_expensive: tuple[float, float], prices: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (c + w (1 - q)) / (c_L + w (1 - q_L)) at each w; points are (cost, quality), w in units of c_L."""
    (cost, quality), (unit, best) = point, most_expensive
    return (cost / unit + prices * (1 - quality)) / (1 + prices * (1 - best))
