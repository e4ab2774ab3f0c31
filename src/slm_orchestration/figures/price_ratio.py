"""Cost saving and gain at other prices: against the ratio of the most expensive to the cheapest model's mean cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.labels import Label, beside
from slm_orchestration.figures.style import FAINT, INK, SOFT
from slm_orchestration.statistics.metrics import hull_quality

RATIOS = np.geomspace(1.0, 300.0, 60)
_TICKS = (1, 3, 10, 30, 100, 300)
_STRATEGIES = 4


@dataclass(frozen=True)
class Costs:
    """Mean cost per task at each ratio: of a strategy, and of each model (ratios × models, cheapest first)."""

    strategy: NDArray[np.float64]
    models: NDArray[np.float64]

    def saving(self) -> NDArray[np.float64]:
        """Return the cost of the most expensive model over that of the strategy."""
        return self.models[:, -1] / self.strategy

    def gain(self, quality: float, guess: float, qualities: Sequence[float]) -> NDArray[np.float64]:
        """Return a strategy's `quality` over a mixture of the models and `guess`, which is free, at equal cost."""
        costs = np.column_stack([np.zeros(len(self.models)), self.models])
        with np.errstate(invalid="ignore"):  # between models of equal cost there is no line
            mixed = hull_quality(self.strategy[:, None], costs, np.broadcast_to([guess, *qualities], costs.shape))
        return quality - mixed[:, 0]


def price_ratio(served: pd.DataFrame, outcomes: pd.DataFrame, estimates: pd.DataFrame) -> Figure:
    """Draw cost saving and gain over the mixture of the leading strategies against the ratio of the models' mean costs.

    `served` holds DECISIONS at the operating points, which stay as they are, `outcomes` their tasks. The vertical line
    is the recorded ratio.
    """
    present = set(served["strategy"])
    leading = [name for name in naming.contenders(estimates)[:_STRATEGIES] if name in present]
    ordered = [name.removeprefix(naming.CONSTANT) for name in naming.constants(estimates)]
    recorded, quality = _recorded_ratio(outcomes, ordered), naming.metric(estimates, "quality")["estimate"]
    constants = [float(quality[name]) for name in naming.constants(estimates)]
    with style.look():
        figure = Figure(figsize=(style.TEXT_WIDTH, 2.2))
        left, right = figure.add_axes((0.06, 0.18, 0.27, 0.77)), figure.add_axes((0.57, 0.18, 0.27, 0.77))
        labels: dict[Axes, list[Label]] = {left: [], right: []}
        for name in [*leading, *(["oracle"] if "oracle" in present else [])]:
            costs = costs_at(served[served["strategy"] == name], outcomes, ordered, RATIOS)
            drawn = {left: costs.saving()}
            if name in leading:
                drawn[right] = costs.gain(float(quality[name]), float(quality["guess"]), constants)
            for axes, values in drawn.items():
                axes.plot(RATIOS, values, color=style.colour(name), label=name)
                labels[axes].append(Label(RATIOS[-1], float(values[-1]), naming.label(name), style.colour(name)))
        left.set(ylabel="Cost saving (times)")
        right.set(ylabel="Gain over the mixture")
        for axes, neutral in ((left, 1.0), (right, 0.0)):
            _ratio_axis(axes, recorded, neutral)
            axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
            beside(axes, labels[axes], size=6)
    return figure


def _ratio_axis(axes: Axes, recorded: float, neutral: float) -> None:
    axes.set(xscale="log", xlabel="Mean cost, most expensive over cheapest model")
    axes.axvline(recorded, color=INK, linewidth=0.6, zorder=1, label="recorded ratio")
    axes.axhline(neutral, color=FAINT, linewidth=0.6, zorder=0)
    axes.set(xlim=(RATIOS[0], RATIOS[-1]), xticks=_TICKS, xticklabels=[f"{tick:g}" for tick in _TICKS])
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


def costs_at(
    decisions: pd.DataFrame, outcomes: pd.DataFrame, models: Sequence[str], ratios: NDArray[np.float64]
) -> Costs:
    """Return the mean costs of one strategy and of the models at each ratio of the models' mean costs.

    `models` are cheapest first. Each model's costs are multiplied by one factor: the cheapest keeps its mean, the most
    expensive reaches the ratio, and those between keep their place on the logarithmic scale. A router's own cost stays.
    """
    per_task = outcomes[outcomes["repeat"] == 0].pivot(index="task_id", columns="model", values="cost_usd")
    mean = per_task[list(models)].mean()
    called = decisions.explode("models_called")[["task_id", "models_called"]].dropna()
    by_model = per_task.stack().reindex(pd.MultiIndex.from_frame(called)).groupby(level=1).sum()
    own = float(decisions["cost_usd"].to_numpy(float).sum() - by_model.to_numpy(float).sum())
    asked = per_task.loc[decisions["task_id"], list(models)].mean()
    span = np.log(mean.iloc[-1] / mean.iloc[0])
    strategy, constants = [], []
    for ratio in ratios:
        factor = (mean / mean.iloc[0]) ** (np.log(ratio) / span - 1)
        paid = (by_model * factor.reindex(by_model.index)).sum() + max(own, 0.0)
        strategy.append(paid / len(decisions))
        constants.append((asked * factor).to_numpy(float))
    return Costs(np.array(strategy), np.array(constants))


def _recorded_ratio(outcomes: pd.DataFrame, models: Sequence[str]) -> float:
    mean = outcomes[outcomes["repeat"] == 0].groupby("model")["cost_usd"].mean()
    return float(mean[models[-1]] / mean[models[0]])
