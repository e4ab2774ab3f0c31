"""How models complement each other: the share of tasks that one answers better than another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from slm_orchestration.figures import style
from slm_orchestration.figures.style import INK


def agreement(outcomes: pd.DataFrame, models: Sequence[str]) -> Figure:
    """Draw the share of tasks on which the row's model is better than the column's; on the diagonal its mean quality.

    On the remaining tasks, 1 minus a cell and its mirror image, both have equal quality. `models` are cheapest first.
    """
    values = better(outcomes, models).to_numpy(dtype=float)
    size = 1.3 + 0.42 * len(models)
    with style.look():
        figure = Figure(figsize=(style.COLUMN_WIDTH, min(size, 6.0)), layout="constrained")
        axes = figure.add_subplot()
        off = np.where(np.eye(len(models), dtype=bool), np.nan, values)
        axes.imshow(off, cmap="Blues", vmin=0, vmax=max(0.5, np.nanmax(off, initial=0.0)), aspect="auto")
        for row in range(len(models)):
            for column in range(len(models)):
                text, alone = f"{100 * values[row, column]:.0f} %", row == column
                dark = not alone and off[row, column] > 0.35
                axes.text(
                    column,
                    row,
                    text,
                    ha="center",
                    va="center",
                    color="white" if dark else INK,
                    fontsize=6.5,
                    weight="bold" if alone else "normal",
                )
        axes.set_xticks(range(len(models)), models, rotation=20, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(len(models)), models)
        axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("than this model; bold: mean quality")
        axes.set_ylabel("better on … of the tasks")
    return figure


def better(outcomes: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Return the share of tasks on which the row's model has the higher quality; on the diagonal its mean quality."""
    quality = outcomes[outcomes["repeat"] == 0].pivot(index="task_id", columns="model", values="quality")
    shares = {
        column: [
            quality[row].mean() if row == column else float((quality[row] > quality[column]).mean()) for row in models
        ]
        for column in models
    }
    return pd.DataFrame(shares, index=list(models))
