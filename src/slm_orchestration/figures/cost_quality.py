"""The cost-quality plane: every strategy against the mixture of constant models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.labels import Label, beside
from slm_orchestration.figures.style import FAINT, INK, SOFT

# More curves than this overlap on one plane; `cost_quality_panels` draws one per panel.
_CURVES_TOGETHER = 4
# More labels than this overlap; strategies of smaller gain over the mixture are grey dots.
_NAMED = 6
# The strategy that conf/claims.yaml is about is always named.
_CLAIMED = "adaptive"
_LABEL_SIZE = 5.8


def cost_quality(curves: pd.DataFrame, estimates: pd.DataFrame, hull: Sequence[str]) -> Figure:
    """Draw every strategy's operating point with its intervals, the constants and the mixture of `hull`.

    The oracle is left out: far above everything else, it would press all strategies together.
    Of many strategies only those with the largest gain over the mixture are named; the others are dots. `hull` names
    the mixture's models, the cheapest first; `curves` and `estimates` are the tables CURVES and ESTIMATES.
    """
    scale, unit = _unit(estimates)
    points = _points(estimates, scale)
    with style.look():
        figure = Figure(figsize=(style.COLUMN_WIDTH, 2.9))
        axes = figure.add_axes((0.14, 0.16, 0.5, 0.81))
        labels = [_mixture(axes, points, hull)]
        contenders = naming.contenders(estimates)
        named = [name for place, name in enumerate(contenders) if place < _NAMED or name == _CLAIMED]
        others = [name for name in contenders if name not in named]
        _dots(axes, points.loc[others])
        for name in named:
            if len(contenders) <= _CURVES_TOGETHER:
                _curve(axes, curves, name, scale)
            _cross(axes, points.T[name], name)
        references = [name for name in naming.REFERENCES if name in points.index and name not in ("mixture", "oracle")]
        points = points.drop(index="oracle", errors="ignore")
        landmarks = references + naming.constants(estimates)
        for name in landmarks:
            _landmark(axes, points.T[name], name)
        labels += [_label(points, name) for name in named + landmarks]
        _limits(axes, points, named)
        axes.set_position(_room_for(labels, figure))
        note = f"\n(grey dots: {len(others)} strategies of smaller gain)" if others else ""
        axes.set(xlabel=f"Mean cost {unit}{note}", ylabel="Mean quality")
        beside(axes, labels, size=_LABEL_SIZE)
    return figure


def cost_quality_panels(curves: pd.DataFrame, estimates: pd.DataFrame, hull: Sequence[str]) -> Figure:
    """Draw each strategy's whole curve over its thresholds in a panel of its own, on the plane of `cost_quality`."""
    scale, unit = _unit(estimates)
    points = _points(estimates, scale)
    names = naming.contenders(estimates)
    with style.look():
        figure, panels = style.panels(len(names), height=1.3)
        for axes, name in zip(panels, names, strict=True):
            _mixture(axes, points, hull)
            for constant in naming.constants(estimates):
                _landmark(axes, points.T[constant], constant)
            if "oracle" in points.index:
                _landmark(axes, points.T["oracle"], "oracle")
            _curve(axes, curves, name, scale)
            _cross(axes, points.T[name], name)
            axes.grid(color=FAINT, linewidth=0.3)
            axes.set_title(naming.label(name), color=style.colour(name), pad=3)
        if panels:
            _limits(panels[0], points, names)
            reach = naming.overall(curves).query("strategy in @names")["cost_usd"].max() * scale
            panels[0].set_xlim(right=max(panels[0].get_xlim()[1], 1.03 * reach))
        figure.supxlabel(f"Mean cost {unit}", fontsize=7)
        figure.supylabel("Mean quality", fontsize=7)
    return figure


def _unit(estimates: pd.DataFrame) -> tuple[float, str]:
    """Return the factor on dollars per task at which the largest mean cost is at least 0.1, and the unit's name."""
    most_expensive = naming.metric(estimates, "cost_usd")["estimate"].max()
    units = ((1.0, "per task"), (1e3, "per 1,000 tasks"), (1e6, "per million tasks"))
    factor, words = next((unit for unit in units if most_expensive * unit[0] >= 0.1), units[-1])
    return factor, f"{words} (USD)"


def _points(estimates: pd.DataFrame, scale: float) -> pd.DataFrame:
    """Return cost and quality of each strategy and the ends of both intervals, in the plane's units."""
    cost = naming.metric(estimates, "cost_usd")[["estimate", "low", "high"]] * scale
    quality = naming.metric(estimates, "quality")[["estimate", "low", "high"]]
    return cost.add_prefix("cost_").join(quality.add_prefix("quality_"), how="inner")


def _mixture(axes: Axes, points: pd.DataFrame, hull: Sequence[str]) -> Label:
    """Draw what mixing constant models reaches; return its label, for the middle of its last stretch.

    As in gain_over_mixture, the line starts at guess at cost 0 and is flat beyond its most expensive model.
    """
    start = ["guess"] if "guess" in points.index else []
    vertices = points.loc[start + [naming.CONSTANT + name for name in hull if name != "guess"]]
    cost, quality = vertices["cost_estimate"].tolist(), vertices["quality_estimate"].tolist()
    beyond = max(points[["cost_estimate", "cost_high"]].max(axis=None), cost[-1])
    axes.plot(
        [*cost, 2 * beyond],
        [*quality, quality[-1]],
        color=INK,
        linestyle=(0, (4, 2)),
        linewidth=0.8,
        zorder=1,
        label="mixture",
    )
    middle = vertices.iloc[-2:].mean()
    return Label(middle["cost_estimate"], middle["quality_estimate"], "mixture of models", INK)


def _curve(axes: Axes, curves: pd.DataFrame, name: str, scale: float) -> None:
    curve = naming.overall(curves)
    curve = curve[curve["strategy"] == name].sort_values("threshold")
    axes.plot(
        curve["cost_usd"] * scale,
        curve["quality"],
        color=style.colour(name),
        zorder=2,
        label=f"curve:{name}",
    )


def _cross(axes: Axes, point: pd.Series, name: str) -> None:
    """Draw an operating point as a marker with a cross as wide and high as its two intervals."""
    axes.errorbar(
        point["cost_estimate"],
        point["quality_estimate"],
        xerr=_arms(point, "cost"),
        yerr=_arms(point, "quality"),
        elinewidth=0.6,
        zorder=4,
        label=f"point:{name}",
        **style.point(name),
    )


def _dots(axes: Axes, points: pd.DataFrame) -> None:
    """Draw strategies that are not named."""
    for name, point in points.iterrows():
        axes.plot(
            point["cost_estimate"],
            point["quality_estimate"],
            "o",
            color=SOFT,
            markersize=2,
            zorder=3,
            label=f"point:{name}",
        )


def _landmark(axes: Axes, point: pd.Series, name: str) -> None:
    axes.plot(point["cost_estimate"], point["quality_estimate"], zorder=3, label=f"point:{name}", **style.point(name))


def _arms(point: pd.Series, metric: str) -> np.ndarray | None:
    low, middle, high = (point[f"{metric}_{end}"] for end in ("low", "estimate", "high"))
    return None if pd.isna(low) or pd.isna(high) else np.array([[max(0.0, middle - low)], [max(0.0, high - middle)]])


def _label(points: pd.DataFrame, name: str) -> Label:
    point = points.T[name]
    tone = SOFT if name in naming.REFERENCES and name != "oracle" else style.colour(name)
    return Label(point["cost_estimate"], point["quality_estimate"], naming.label(name), tone)


def _limits(axes: Axes, points: pd.DataFrame, contenders: Sequence[str]) -> None:
    """Show every point, and the whole intervals of `contenders`, which alone carry crosses."""
    crossed = points.loc[list(contenders)]
    right = np.nanmax(np.concatenate([points["cost_estimate"], crossed["cost_high"]]))
    ends = np.concatenate([points["quality_estimate"], crossed["quality_low"], crossed["quality_high"]])
    bottom, top = np.nanmin(ends), np.nanmax(ends)
    margin = 0.05 * (top - bottom or 1.0)
    axes.set(xlim=(-0.04 * right, 1.05 * right), ylim=(bottom - margin, top + margin))
    axes.grid(color=FAINT, linewidth=0.3)
    axes.set_axisbelow(True)


def _room_for(labels: Sequence[Label], figure: Figure) -> tuple[float, float, float, float]:
    """Return the position of the axes that leaves room for the longest label."""
    # The average glyph of DejaVu Sans is about 0.58 em wide.
    inches = max(len(label.text) for label in labels) * 0.58 * _LABEL_SIZE / 72
    width = max(0.3, 0.825 - inches / figure.get_figwidth())
    return (0.14, 0.16, width, 0.81)
