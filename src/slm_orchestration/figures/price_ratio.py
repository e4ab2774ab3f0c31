"""Cost saving at other prices: against the ratio of the most expensive to the cheapest model's mean cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.labels import Label, beside
from slm_orchestration.figures.style import FAINT, INK, SOFT

RATIOS = np.geomspace(1.0, 300.0, 60)
_TICKS = (1, 3, 10, 30, 100, 300)
_STRATEGIES = 4


def price_ratio(served: pd.DataFrame, outcomes: pd.DataFrame, estimates: pd.DataFrame) -> Figure:
    """Draw the cost saving of the leading strategies and the oracle against the ratio of the models' mean costs.

    `served` holds DECISIONS at the operating points, `outcomes` their tasks. The vertical line is the recorded ratio.
    """
    present = set(served["strategy"])
    names = [name for name in [*naming.contenders(estimates)[:_STRATEGIES], "oracle"] if name in present]
    ordered = [name.removeprefix(naming.CONSTANT) for name in naming.constants(estimates)]
    recorded = _recorded_ratio(outcomes, ordered)
    with style.look():
        figure = Figure(figsize=(style.COLUMN_WIDTH, 2.2))
        axes = figure.add_axes((0.13, 0.18, 0.58, 0.77))
        axes.set(
            xscale="log",
            xlabel="Mean cost, most expensive over cheapest model",
            ylabel="Cost saving (times)",
        )
        axes.axvline(recorded, color=INK, linewidth=0.6, zorder=1, label="recorded ratio")
        axes.axhline(1.0, color=FAINT, linewidth=0.6, zorder=0)
        labels = []
        for name in names:
            saved = savings(served[served["strategy"] == name], outcomes, ordered, RATIOS)
            axes.plot(RATIOS, saved, color=style.colour(name), label=f"saving:{name}")
            labels.append(Label(RATIOS[-1], float(saved[-1]), naming.label(name), style.colour(name)))
        axes.set(xlim=(RATIOS[0], RATIOS[-1]), xticks=_TICKS, xticklabels=[f"{tick:g}" for tick in _TICKS])
        axes.set_ylim(bottom=0.0)
        axes.minorticks_off()
        axes.annotate(
            "as recorded",
            xy=(recorded, 0.94),
            xycoords=("data", "axes fraction"),
            xytext=(2, 0),
            textcoords="offset points",
            fontsize=5.8,
            color=SOFT,
        )
        beside(axes, labels, size=6)
    return figure


def savings(
    decisions: pd.DataFrame, outcomes: pd.DataFrame, models: Sequence[str], ratios: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return total cost of the most expensive model over that of one strategy, at each ratio of the mean costs.

    `models` are cheapest first. Each model's costs are multiplied by one factor: the cheapest keeps its mean, the most
    expensive reaches the ratio, and those between keep their place on the logarithmic scale. A router's own cost stays.
    """
    per_task = outcomes[outcomes["repeat"] == 0].pivot(index="task_id", columns="model", values="cost_usd")
    mean = per_task[list(models)].mean()
    called = decisions.explode("models_called")[["task_id", "models_called"]].dropna()
    by_model = per_task.stack().reindex(pd.MultiIndex.from_frame(called)).groupby(level=1).sum()
    own = float(decisions["cost_usd"].to_numpy(float).sum() - by_model.to_numpy(float).sum())
    span = np.log(mean.iloc[-1] / mean.iloc[0])
    saved = []
    for ratio in ratios:
        factor = (mean / mean.iloc[0]) ** (np.log(ratio) / span - 1)
        most_expensive = factor.iloc[-1] * per_task.loc[decisions["task_id"], models[-1]].sum()
        saved.append(most_expensive / ((by_model * factor.reindex(by_model.index)).sum() + max(own, 0.0)))
    return np.array(saved)


def _recorded_ratio(outcomes: pd.DataFrame, models: Sequence[str]) -> float:
    mean = outcomes[outcomes["repeat"] == 0].groupby("model")["cost_usd"].mean()
    return float(mean[models[-1]] / mean[models[0]])
