"""Reliability diagrams: each model's confidence against the graded quality of its answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import style
from slm_orchestration.figures.style import FAINT, INK, SOFT
from slm_orchestration.statistics.calibration import expected_calibration_error, reliability
from slm_orchestration.statistics.intervals import wilson

_COLOUR = "#0072B2"


def reliability_diagrams(outcomes: pd.DataFrame, *, level: float) -> Figure:
    """Draw a panel per model of the OUTCOMES, whose `confidence` is filled in; bars are Wilson intervals.

    A point is one of ten bins of confidence, its area the number of tasks; the diagonal is perfect calibration.
    """
    answered = outcomes[outcomes["confidence"].notna() & outcomes["quality"].notna()]
    models = [str(name) for name in answered["model"].unique()]
    with style.look():
        figure, panels = style.panels(len(models), height=1.7)
        for axes, model in zip(panels, models, strict=True):
            rows = answered[answered["model"] == model]
            _diagram(axes, rows["confidence"].to_numpy(float), rows["quality"].to_numpy(float), level)
            axes.set_title(model, pad=11)
        figure.supxlabel("Predicted quality (confidence)", fontsize=7)
        figure.supylabel("Graded quality", fontsize=7)
    return figure


def calibration_errors(outcomes: pd.DataFrame) -> dict[str, float]:
    """Return the expected calibration error of each model of the OUTCOMES, as the diagrams print it."""
    answered = outcomes[outcomes["confidence"].notna() & outcomes["quality"].notna()]
    return {
        str(model): expected_calibration_error(rows["confidence"].to_numpy(float), rows["quality"].to_numpy(float))
        for model, rows in answered.groupby("model", sort=False)
    }


def _diagram(axes: Axes, predicted: np.ndarray, quality: np.ndarray, level: float) -> None:
    bins = reliability(predicted, quality)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, zorder=0)
    for row in bins.to_dict("records"):
        ends = wilson(float(row["quality"]), float(row["tasks"]), level=level)
        axes.plot([row["predicted"]] * 2, ends, color=SOFT, linewidth=0.6, zorder=1)
    area = 6 + 60 * bins["tasks"] / bins["tasks"].sum()
    axes.scatter(bins["predicted"], bins["quality"], s=area, color=_COLOUR, edgecolor="white", linewidth=0.4, zorder=2)
    error = expected_calibration_error(predicted, quality)
    summary = f"calibration error {error:.2f}, {predicted.size} tasks"
    axes.text(0.0, 1.02, summary, transform=axes.transAxes, va="bottom", fontsize=6, color=INK)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
